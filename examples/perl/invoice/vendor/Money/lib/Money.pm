package Money;

use strict;
use warnings;

our $VERSION = '1.0.0';

sub new {
    my ($class, $cents, $currency) = @_;
    return bless { cents => $cents, currency => $currency }, $class;
}

sub text {
    my ($self) = @_;
    my $whole = int($self->{cents} / 100);
    1 while $whole =~ s/(\d)(\d{3})(?!\d)/$1,$2/;
    return sprintf '%s.%02d %s', $whole, $self->{cents} % 100, $self->{currency};
}

1;
