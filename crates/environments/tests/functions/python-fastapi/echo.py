from fastapi.responses import JSONResponse


async def main(request):
    seen = {
        "method": request.method,
        "path": request.url.path,
        "query": request.url.query,
        "header": request.headers.get("X-Test", ""),
        "body": (await request.body()).decode(),
    }
    return JSONResponse(seen, 201, {"X-Answer": "yes"})
