import time

from fastapi import Response


def main(request):
    time.sleep(0.3)
    return Response("slow")
