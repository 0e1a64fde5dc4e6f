from fastapi import Response


def main(request):
    return Response("main file")


def hello(request):
    return Response("from a folder")
