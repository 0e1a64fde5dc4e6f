return sub { return 'deep' };
