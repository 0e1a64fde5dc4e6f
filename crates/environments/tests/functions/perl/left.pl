return sub { return defined $Left::over ? 'left over' : 'clean' };
