from fastapi import Response


def main(request):
    return Response()
