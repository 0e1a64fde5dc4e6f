from fastapi import WebSocket


async def main(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text("hello " + websocket.url.path)
    await websocket.close()
