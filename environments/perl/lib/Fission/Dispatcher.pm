package Fission::Dispatcher;

# The dispatcher: watches idle connections, hands one on which a request arrives to a free worker, and gets it back. It
# reads nothing of them itself.

use strict;
use warnings;

use IO::FDPass ();
use IO::Poll qw(POLLIN POLLHUP POLLERR);
use JSON::MaybeXS ();
use POSIX ();
use Socket qw(:DEFAULT SOCK_SEQPACKET SOCK_NONBLOCK SOCK_CLOEXEC IPPROTO_TCP TCP_NODELAY MSG_PEEK MSG_DONTWAIT);

use Fission::Worker;

# Requests served at the same time; more wait in line. The platform's requestsPerPod decides long before this.
use constant WORKERS => 32;
# Connections kept at the same time; the limit of open files is often 1024.
use constant CONNECTIONS => 960;
use constant BACKLOG => 511;
# Longest wait in seconds, for signals that arrive just before one begins.
use constant PATIENCE => 1;
# Bytes of the longest message of a worker.
use constant MESSAGE => 1 << 16;

# Listens on the unix socket of this path, or on TCP where there is none.
sub listen {
    my ($class, $path, $port) = @_;
    my $tcp = $path eq '';
    my $failed = sub { die "cannot listen: $!\n" };
    socket my $listener, $tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0 or $failed->();
    setsockopt $listener, SOL_SOCKET, SO_REUSEADDR, 1 if $tcp;
    bind $listener, $tcp ? pack_sockaddr_in($port, INADDR_ANY) : pack_sockaddr_un($path) or $failed->();
    # The folder of the socket decides who may connect; the one who connects may be another user than this one.
    $tcp || chmod 0777, $path or $failed->();
    CORE::listen $listener, BACKLOG or $failed->();
    $listener->blocking(0);
    return bless {
        listener => $listener,
        tcp => $tcp,
        # By number: all of them, and those on which no request has begun.
        connections => {},
        watched => {},
        # Those with a request that no worker is free for.
        queue => [],
        # By process: the sockets to workers, and which connection each serves.
        workers => {},
        busy => {},
        # What workers load, once known, and what came of it so far.
        load => undef,
        loading => '',
        ending => 0,
    }, $class;
}

# Serves until told to end, then until the last request is answered.
sub run {
    my ($self) = @_;
    $SIG{TERM} = $SIG{INT} = sub { $self->{ending} = 1 };
    # Only to wake up: who ended is asked below.
    $SIG{CHLD} = sub { };
    $SIG{PIPE} = 'IGNORE';
    $self->spawn;
    while (!$self->{ending} || %{ $self->{busy} } || @{ $self->{queue} }) {
        $self->stop_listening if $self->{ending};
        $self->turn;
    }
    return;
}

sub stop_listening {
    my ($self) = @_;
    undef $self->{listener};
    delete @{ $self->{connections} }{ keys %{ $self->{watched} } };
    $self->{watched} = {};
    return;
}

sub turn {
    my ($self) = @_;
    my $poll = IO::Poll->new;
    my $room = CONNECTIONS > keys %{ $self->{connections} };
    $poll->mask($self->{listener} => POLLIN) if $self->{listener} && $room;
    $poll->mask($_ => POLLIN) for values %{ $self->{watched} }, values %{ $self->{workers} };
    if ($poll->poll(PATIENCE) > 0) {
        my $ready = sub { return $poll->events($_[0]) & (POLLIN | POLLHUP | POLLERR) };
        # Workers first: who comes then finds those that are free again.
        for my $pid (keys %{ $self->{workers} }) {
            $self->told($pid) if $self->{workers}{$pid} && $ready->($self->{workers}{$pid});
        }
        for my $id (keys %{ $self->{watched} }) {
            $self->arrived($id) if $ready->($self->{watched}{$id});
        }
        $self->accept if $self->{listener} && $ready->($self->{listener});
    }
    # A program that a function started may hold a dead worker's socket open.
    while ((my $pid = waitpid -1, POSIX::WNOHANG) > 0) {
        $self->gone($pid);
    }
    while (@{ $self->{queue} } && $self->hand($self->{queue}[0])) {
        shift @{ $self->{queue} };
    }
    return;
}

sub accept {
    my ($self) = @_;
    while (CONNECTIONS > keys %{ $self->{connections} }) {
        CORE::accept(my $socket, $self->{listener}) or last;
        setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1 if $self->{tcp};
        my $id = fileno $socket;
        $self->{connections}{$id} = $self->{watched}{$id} = $socket;
    }
    return;
}

sub arrived {
    my ($self, $id) = @_;
    my $socket = delete $self->{watched}{$id};
    my $peeked = recv $socket, my $byte, 1, MSG_PEEK | MSG_DONTWAIT;
    if (!defined $peeked || !length $byte) {
        delete $self->{connections}{$id};
    } elsif (@{ $self->{queue} } || !$self->hand($id)) {
        push @{ $self->{queue} }, $id;
    }
    return;
}

# Gives a connection to a worker; false when none is free.
sub hand {
    my ($self, $id) = @_;
    while (defined(my $pid = $self->free)) {
        if (IO::FDPass::send(fileno $self->{workers}{$pid}, $id)) {
            $self->{busy}{$pid} = $id;
            return 1;
        }
        delete $self->{workers}{$pid};
    }
    return 0;
}

# A worker that serves nothing, a new one if need be. The oldest first, so that few are awake.
sub free {
    my ($self) = @_;
    for my $pid (sort { $a <=> $b } keys %{ $self->{workers} }) {
        return $pid if !exists $self->{busy}{$pid};
    }
    # Before there is a function one worker answers all, so that one alone decides which function it is.
    return keys %{ $self->{workers} } < ($self->{load} ? WORKERS : 1) ? $self->spawn : undef;
}

sub spawn {
    my ($self) = @_;
    socketpair my $ours, my $its, AF_UNIX, SOCK_SEQPACKET, PF_UNSPEC or die "no pair of sockets: $!\n";
    my $pid = fork;
    if (!defined $pid) {
        print STDERR "perl environment: cannot start a worker: $!\n";
        return;
    }
    if ($pid == 0) {
        # Connections and the sockets of other workers are not this one's to hold open.
        delete @$self{qw(listener connections watched workers)};
        close $ours;
        $SIG{CHLD} = 'DEFAULT';
        # The dispatcher's part: a worker ends when it has.
        $SIG{TERM} = $SIG{INT} = 'IGNORE';
        Fission::Worker->new($its)->run($self->{load});
    }
    $ours->blocking(0);
    $self->{workers}{$pid} = $ours;
    return $pid;
}

# Reads what a worker says.
sub told {
    my ($self, $pid) = @_;
    while (my $socket = $self->{workers}{$pid}) {
        my $length = sysread $socket, my $message, MESSAGE;
        return if !defined $length && ($!{EAGAIN} || $!{EINTR});
        return $self->gone($pid) if !$length;
        $self->heard($pid, $message);
    }
    return;
}

sub heard {
    my ($self, $pid, $message) = @_;
    my $kind = substr $message, 0, 1;
    if ($kind eq Fission::Worker::LOADED) {
        $self->{loading} .= substr $message, 1;
        return;
    }
    @$self{qw(load loading)} = (JSON::MaybeXS::decode_json($self->{loading}), '') if length $self->{loading};
    $self->back($pid, $kind eq Fission::Worker::KEEP || $kind eq Fission::Worker::LAST_KEEP);
    if ($kind eq Fission::Worker::LAST_KEEP || $kind eq Fission::Worker::LAST_CLOSE) {
        delete $self->{workers}{$pid};
        $self->spawn if !$self->{load};
    }
    return;
}

# Takes a connection back from a worker.
sub back {
    my ($self, $pid, $keep) = @_;
    my $id = delete $self->{busy}{$pid};
    return if !defined $id;
    if ($keep && !$self->{ending}) {
        $self->{watched}{$id} = $self->{connections}{$id};
    } else {
        delete $self->{connections}{$id};
    }
    return;
}

# A worker has ended: what it served and said nothing of cannot be answered any more.
sub gone {
    my ($self, $pid) = @_;
    if (my $socket = $self->{workers}{$pid}) {
        # Its last words first.
        while (sysread $socket, my $message, MESSAGE) {
            $self->heard($pid, $message);
        }
        delete $self->{workers}{$pid};
    }
    $self->back($pid, 0);
    $self->spawn if !%{ $self->{workers} } && !$self->{load} && !$self->{ending};
    return;
}

1;
