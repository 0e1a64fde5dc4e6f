"""Greets whoever is named in the query or in a JSON body, and logs it."""

from flask import current_app, jsonify, request


def main():
    name = request.args.get("name") or (request.get_json(silent=True) or {}).get("name") or "stranger"
    current_app.logger.info("greeting %s", name)
    return jsonify(greeting=f"Hello, {name}!")
