sub { return q() };
