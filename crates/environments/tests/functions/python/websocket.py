from flask import request


def main(ws, clients):
    print("opened")
    ws.send(f"hello {request.path} {len(clients)}")
    for message in ws:
        ws.send(message)
    print("closed")
