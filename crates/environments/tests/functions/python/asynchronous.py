async def main():
    return {"by": "asyncio"}, 202
