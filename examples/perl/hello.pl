return sub {
    return "Hello, world!\n";
};
