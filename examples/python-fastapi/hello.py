from fastapi.responses import PlainTextResponse


async def main(request):
    return PlainTextResponse("Hello, world!\n")
