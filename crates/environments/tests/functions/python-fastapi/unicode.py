from fastapi import Response


def main():
    return Response("Grüße, 世界 🌍")
