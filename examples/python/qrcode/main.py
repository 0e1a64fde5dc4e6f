"""Draws a QR code of the text in the query, with a package from PyPI."""

import io

import segno
from flask import request


def main():
    picture = io.BytesIO()
    segno.make(request.args.get("text", "Hello, world!")).save(picture, kind="svg", scale=8)
    return picture.getvalue(), {"Content-Type": "image/svg+xml"}
