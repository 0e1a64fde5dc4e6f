#!/usr/bin/env perl
# Starts the server of the perl environment. Start reading in lib/Fission/Dispatcher.pm (connections), then Worker.pm (the
# protocol), Code.pm (from a file to a function) and Application.pm (what a function is called with).

use strict;
use warnings;

use FindBin ();
use lib "$FindBin::RealBin/lib";

use Fission::Dispatcher;
use Fission::Output;
use Fission::Worker;

Fission::Output::install();
Fission::Worker::warm_up("$FindBin::RealBin/warm/user");
my $dispatcher = eval { Fission::Dispatcher->listen($ENV{FISSION_SOCKET} // '', $ENV{RUNTIME_PORT} || 8888) };
if (!$dispatcher) {
    print STDERR "perl environment: $@";
    exit 1;
}
$dispatcher->run;
