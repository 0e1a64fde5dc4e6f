package Left;

our $over = 1;

1;
