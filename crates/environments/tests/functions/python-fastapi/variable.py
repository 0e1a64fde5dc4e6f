# Read while it is loaded and while it serves: both must see what the platform gave it.
import os

from fastapi import Response

AT_LOAD = os.environ["GREETING"]


def main(request):
    return Response(f"{AT_LOAD} {os.environ['GREETING']} {os.environ['FROM_START']}")
