from flask import jsonify, request


def main():
    return (
        jsonify(
            method=request.method,
            path=request.path,
            query=request.query_string.decode(),
            header=request.headers.get("X-Test", ""),
            body=request.get_data(as_text=True),
        ),
        201,
        {"X-Answer": "yes"},
    )
