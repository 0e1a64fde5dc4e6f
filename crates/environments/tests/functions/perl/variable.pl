use Encode qw(decode_utf8);

# Read while it is loaded and while it serves: both must see what the platform gave it.
my $at_load = decode_utf8 $ENV{GREETING};

return sub { return join ' ', $at_load, decode_utf8($ENV{GREETING}), $ENV{FROM_START} };
