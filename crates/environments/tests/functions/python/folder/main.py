import vendored


def main():
    return "main file"


def hello():
    return vendored.WORD
