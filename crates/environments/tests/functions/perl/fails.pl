return sub { die 'the reason' };
