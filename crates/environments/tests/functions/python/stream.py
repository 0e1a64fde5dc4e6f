import time


def chunks():
    yield "first"
    time.sleep(0.3)
    yield "second"


def main():
    return chunks()
