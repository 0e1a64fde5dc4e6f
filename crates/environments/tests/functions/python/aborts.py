from flask import abort


def main():
    abort(418)
