def main():
    return bytes(range(256))
