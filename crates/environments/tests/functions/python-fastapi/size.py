async def main(request):
    return len(await request.body())
