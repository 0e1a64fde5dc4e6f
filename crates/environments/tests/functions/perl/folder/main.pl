return sub { return 'main file' };
