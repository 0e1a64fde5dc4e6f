from flask import request


def main():
    return str(len(request.get_data()))
