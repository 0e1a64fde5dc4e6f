package Fission::Worker;

# A worker: a process that serves one request at a time, with the function loaded in it. It speaks the protocol.

use strict;
use warnings;

use IO::FDPass ();
use IO::Handle ();
use JSON::MaybeXS ();
use POSIX ();
use Scalar::Util qw(blessed);
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);

use Fission::Application;
use Fission::Code;
use Fission::Connection;
use Fission::Output;

# What a worker tells of the connection it was handed: another request may come, or none will.
use constant KEEP => 'k';
use constant CLOSE => 'c';
# The same from a worker that ends now.
use constant LAST_KEEP => 'K';
use constant LAST_CLOSE => 'C';
# Before one of the others: the function was loaded; the next part of what was loaded follows, as JSON.
use constant LOADED => 'l';
# Bytes of such a part.
use constant PART => 32 * 1024;

use constant UNSPECIALIZED => 'Generic container: no requests supported';
use constant FAILED => 'Internal server error';
# Where version 1 of the protocol keeps its code.
use constant V1_PATH => '/userfunc/user';

my @TEXT = ('Content-Type' => 'text/plain; charset=utf-8');
# The worker this process is, and its process: one that a function forked is none.
my ($this, $process);
my $warm_file;

# `control`: to the dispatcher; none while warming up.
sub new {
    my ($class, $control) = @_;
    return bless { control => $control, reusable => 1 }, $class;
}

# Serves what the dispatcher hands over, until it ends. `load`: what is to be loaded, if that is known.
sub run {
    my ($self, $load) = @_;
    srand;
    # Memory is shared with the parent until it is written, which takes longer than the function of the first user.
    warm_up($warm_file) if !$load;
    ($this, $process) = ($self, $$);
    if ($load && !eval { $self->load($load); 1 }) {
        $self->{broken} = Fission::Code::explain($@);
    }
    while (1) {
        $! = 0;
        my $number = IO::FDPass::recv(fileno $self->{control});
        # A signal that the code asked for is no reason to end.
        next if $number < 0 && $!{EINTR};
        last if $number < 0;
        my $socket = IO::Handle->new_from_fd($number, 'r+') or next;
        $self->serve($socket);
    }
    undef $this;
    # What others would do at the end of the process has no part in it: that is the dispatcher's.
    POSIX::_exit(0);
}

# Goes the whole way once with a function of the environment's own.
sub warm_up {
    my ($file) = @_;
    $warm_file = $file;
    socketpair my $ours, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "no pair of sockets: $!\n";
    my $form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b";
    my @requests = map { "$_ HTTP/1.1\r\nHost: warm\r\nCookie: a=b\r\nX-Fission-Request-ID: warm\r\n$form" }
        ('POST /?a=b', 'GET /error', 'GET /psgi');
    syswrite $ours, join '', @requests;
    shutdown $ours, 1;
    my $worker = __PACKAGE__->new;
    $worker->load({ path => $file, entry => '', env => {} });
    $worker->serve($its);
    sysread $ours, my $answers, 1 << 16;
    for my $status (201, 418, 200) {
        $answers =~ s/\A.*?HTTP\/1\.1 $status //s or die "the environment's own function failed: $answers\n";
    }
    eval { die "warm\n" } or Fission::Code::explain($@);
    Fission::Application::forget();
    return;
}

# Serves a connection as long as requests are there.
sub serve {
    my ($self, $socket) = @_;
    my $connection = $self->{connection} = Fission::Connection->new($socket);
    my $served = eval {
        do {
            my $env = $connection->read or $connection->break_off;
            $self->answer($env) if $env;
        } while ($self->{reusable} && $connection->keep && $connection->has_more);
        1;
    };
    if (!$served) {
        my $error = $@;
        if (blessed $error && $error->isa('Fission::BadRequest')) {
            eval { $self->refuse(400, $error->{why}, Connection => 'close') };
        } elsif (!blessed $error || !$error->isa('Fission::Gone')) {
            print STDERR Fission::Code::explain($error), "\n";
        }
        $connection->break_off;
    }
    # Bytes of a next request must not be lost with this process.
    $self->tell($connection->keep && !$connection->has_more);
    return;
}

sub tell {
    my ($self, $keep) = @_;
    delete $self->{connection};
    return if !$self->{control};
    my $message = $self->{reusable} ? ($keep ? KEEP : CLOSE) : ($keep ? LAST_KEEP : LAST_CLOSE);
    if (!syswrite($self->{control}, $message) || !$self->{reusable}) {
        undef $this;
        POSIX::_exit(0);
    }
    return;
}

sub answer {
    my ($self, $env) = @_;
    my $path = $env->{PATH_INFO};
    if ($path eq '/healthz') {
        $self->refuse(200, '');
    } elsif ($env->{REQUEST_METHOD} eq 'POST' && $path eq '/v2/specialize') {
        my $load = eval { read_load($env->{'psgi.input'}) };
        $load ? $self->specialize($load) : $self->refuse(400, "the specialize request cannot be read: $@");
    } elsif ($env->{REQUEST_METHOD} eq 'POST' && $path eq '/specialize') {
        $self->specialize({ path => V1_PATH, entry => '', env => {} });
    } elsif (defined $self->{broken}) {
        print STDERR "$self->{broken}\n";
        $self->{reusable} = 0;
        $self->refuse(500, FAILED);
    } elsif (!$self->{loaded}) {
        $self->refuse(500, UNSPECIALIZED);
    } else {
        $self->call($env);
    }
    return;
}

# Its errors hold nothing of the request: secrets may be in it.
sub read_load {
    my ($input) = @_;
    my $body = do { local $/; <$input> };
    my $request = eval { JSON::MaybeXS::decode_json($body) };
    ref $request eq 'HASH' or die "it must be a JSON object\n";
    my ($path, $entry, $env) = ($request->{filepath}, $request->{functionName} // '', $request->{env} // {});
    defined $path && !ref $path && !ref $entry or die "filepath and functionName must be strings\n";
    # What JSON has as a number or a truth is no string, although Perl would take it for one.
    my $named = ref $env eq 'HASH' && !grep { $_ eq '' || /[=\0]/ } keys %$env;
    if (!$named || grep { !defined || ref || /\0/ || JSON::MaybeXS->new(allow_nonref => 1)->encode($_) !~ /\A"/ } values %$env) {
        die "env must be names with strings\n";
    }
    utf8::encode($_) for $path, $entry;
    return { path => $path, entry => $entry, env => $env };
}

# Sets the function's own variables and loads its code.
sub load {
    my ($self, $load) = @_;
    while (my ($name, $value) = each %{ $load->{env} }) {
        utf8::encode($name);
        utf8::encode($value);
        $ENV{$name} = $value;
    }
    Fission::Application::serve_with(Fission::Code::load($load->{path}, $load->{entry}));
    $self->{loaded} = 1;
    return;
}

sub specialize {
    my ($self, $load) = @_;
    return $self->refuse(400, 'Not a generic container') if $self->{loaded} || defined $self->{broken};
    $self->{loading} = 1;
    my $loaded = eval { $self->load($load); 1 };
    my $why = Fission::Code::explain($@);
    $self->{loading} = 0;
    return $self->failed_to_load($why) if !$loaded;
    my $json = JSON::MaybeXS::encode_json($load);
    while (length $json) {
        syswrite $self->{control}, LOADED . substr $json, 0, PART, '';
    }
    return $self->refuse(200, '');
}

sub failed_to_load {
    my ($self, $why) = @_;
    # What was loaded of it must not meet the next try.
    $self->{reusable} = 0;
    Fission::Output::finish();
    print STDERR "$why\n";
    return $self->refuse(500, $why);
}

# A text that is no function's answer.
sub refuse {
    my ($self, $status, $text, @headers) = @_;
    utf8::encode($text) if utf8::is_utf8($text);
    $self->{connection}->answer([ $status, [ @TEXT, @headers ], [$text] ]);
    return;
}

sub call {
    my ($self, $env) = @_;
    Fission::Output::enter($env->{HTTP_X_FISSION_REQUEST_ID});
    my $answered = eval { $self->{connection}->answer(Fission::Application::call($env)); 1 };
    my $error = $@;
    eval { $self->failed($error); 1 } or $self->{connection}->break_off if !$answered;
    Fission::Output::enter('');
    return;
}

sub failed {
    my ($self, $error) = @_;
    if (blessed $error && $error->isa('Fission::Gone')) {
        $self->{connection}->break_off;
        return;
    }
    Fission::Output::finish();
    print STDERR Fission::Code::explain($error), "\n";
    if ($self->{connection}->answering) {
        # A part must not be taken for the whole.
        $self->{connection}->break_off;
    } else {
        $self->refuse(500, FAILED);
    }
    return;
}

# The code called exit: it ends this worker, and its request is answered all the same.
END {
    if ($this && $process == $$ && $this->{connection}) {
        my $self = $this;
        $self->{reusable} = 0;
        my $why = 'the code called exit';
        eval { $self->{loading} ? $self->failed_to_load($why) : $self->failed($why); 1 } or $self->{connection}->break_off;
        Fission::Output::enter('');
        $self->tell($self->{connection}->keep && !$self->{connection}->has_more);
    }
}

1;
