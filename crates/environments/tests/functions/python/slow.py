import time


def main():
    time.sleep(0.3)
    return "slow"
