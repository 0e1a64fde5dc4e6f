def main():
    return "not the library"
