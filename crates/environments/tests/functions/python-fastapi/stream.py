import asyncio

from fastapi.responses import StreamingResponse


async def chunks():
    yield "first"
    await asyncio.sleep(0.3)
    yield "second"


async def main(request):
    return StreamingResponse(chunks())
