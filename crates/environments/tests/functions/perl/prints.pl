use feature 'say';

return sub {
    print "one\nt";
    say STDOUT 'wo';
    warn "three\n";
    return 'printed';
};
