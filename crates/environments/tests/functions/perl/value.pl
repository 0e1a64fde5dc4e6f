# Forgets to end with a function.
sub handler { return 'never called' }

42;
