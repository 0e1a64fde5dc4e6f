def main(request):
    raise ValueError("the reason")
