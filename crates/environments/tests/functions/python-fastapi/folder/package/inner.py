from fastapi import Response


def deep(request):
    return Response("deep")
