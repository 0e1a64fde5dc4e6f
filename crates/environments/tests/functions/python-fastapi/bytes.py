from fastapi import Response


def main(request):
    return Response(bytes(range(256)))
