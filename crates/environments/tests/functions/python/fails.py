def main():
    raise ValueError("the reason")
