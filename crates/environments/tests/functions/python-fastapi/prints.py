import sys


def main(request):
    print("one\ntwo")
    print("three", file=sys.stderr)
