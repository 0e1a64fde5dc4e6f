# Read while it is loaded and while it serves: both must see what the platform gave it.
import os

AT_LOAD = os.environ["GREETING"]


def main():
    return f"{AT_LOAD} {os.environ['GREETING']} {os.environ['FROM_START']}"
