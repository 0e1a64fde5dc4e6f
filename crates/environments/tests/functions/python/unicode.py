def main():
    return "Grüße, 世界 🌍"
