import sys


def main():
    print("one\ntwo")
    print("three", file=sys.stderr)
    return "printed"
