package Fission::Output;

# What functions print: in whole lines, each begun with the id of the request it was printed for, between two record
# separators which the log capture takes off again. A worker serves one request at a time, so there is one id.

use strict;
use warnings;

use constant SEPARATOR => "\x1e";
# Bytes after which a line that does not end is passed on as it is.
use constant LONGEST_LINE => 64 * 1024;

my $prefix = '';
my @streams;

# From now on what is printed to both streams goes through here.
sub install {
    # Copies: what is written to a tied handle by its own class would come back to it.
    open my $out, '>&', \*STDOUT or die "standard output cannot be copied: $!\n";
    open my $err, '>&', \*STDERR or die "standard error cannot be copied: $!\n";
    @streams = ((tie *STDOUT, __PACKAGE__, $out, 1), (tie *STDERR, __PACKAGE__, $err, 2));
    return;
}

# From now on lines belong to a request; to none without an id.
sub enter {
    my ($id) = @_;
    finish();
    $prefix = defined $id && length $id ? SEPARATOR . $id . SEPARATOR : '';
    return;
}

# Ends lines that have begun.
sub finish {
    for my $stream (@streams) {
        $stream->WRITE("\n") if length $stream->{waiting};
    }
    return;
}

sub TIEHANDLE {
    my ($class, $handle, $number) = @_;
    return bless { handle => $handle, number => $number, waiting => '' }, $class;
}

sub PRINT {
    my ($self, @texts) = @_;
    my $text = join $, // '', @texts;
    return $self->WRITE($text . ($\ // ''));
}

sub PRINTF {
    my ($self, $format, @values) = @_;
    return $self->WRITE(sprintf $format, @values);
}

# `syswrite` too: half a line of it would otherwise be taken for a whole one.
sub WRITE {
    my ($self, $text, $length, $offset) = @_;
    $text = substr $text, $offset // 0, $length // length $text;
    my $printed = length $text;
    # Characters become UTF-8, whichever layers the handle was given; bytes stay what they are.
    utf8::encode($text) if $self->{characters} || $text =~ /[^\x00-\xff]/;
    $text = $self->{waiting} . $text;
    my $end = length $text > LONGEST_LINE ? length $text : rindex($text, "\n") + 1;
    $self->{waiting} = substr $text, $end;
    my $finished = substr $text, 0, $end;
    if (length $finished && length $prefix) {
        my $last = chop $finished;
        $finished =~ s/\n/\n$prefix/g;
        $finished = $prefix . $finished . $last;
    }
    # In one piece, so that lines of other workers cannot come between.
    while (length $finished) {
        my $written = syswrite $self->{handle}, $finished;
        return if !defined $written && !$!{EINTR};
        substr($finished, 0, $written // 0) = '';
    }
    return $printed || '0E0';
}

sub BINMODE {
    my ($self, $layers) = @_;
    $self->{characters} = defined $layers && $layers =~ /utf-?8/i;
    return 1;
}

sub FILENO {
    my ($self) = @_;
    return $self->{number};
}

sub CLOSE { return 1 }

1;
