package Fission::Connection;

# HTTP/1.1 on a socket, one request after the other, in PSGI's terms. Dies with a Fission::Gone when the client is, and with
# a Fission::BadRequest when what it sends cannot be understood.

use strict;
use warnings;

use HTTP::Status ();
use Plack::HTTPParser qw(parse_http_request);
use Plack::Util ();
use Stream::Buffered ();

# Bytes of a request's head. The platform's router refuses far fewer.
use constant MAX_HEAD => 1 << 20;
# Bytes of a request's body. Those above 1 MB wait in a temporary file.
use constant MAX_BODY => 4 << 30;
# Bytes read at once.
use constant CHUNK => 1 << 16;

$Stream::Buffered::MaxMemoryBufferSize = 1 << 20;

# `keep`: whether another request may come. `answering`: whether an answer was begun.
sub new {
    my ($class, $socket) = @_;
    return bless { socket => $socket, buffer => '', keep => 1, answering => 0 }, $class;
}

sub keep { return $_[0]{keep} }
sub answering { return $_[0]{answering} }

# Whether a part of another request is here already.
sub has_more { return length $_[0]{buffer} }

# No request will follow.
sub break_off {
    my ($self) = @_;
    $self->{keep} = 0;
    return;
}

# The environment of the next request, with its whole body; nothing when there is none.
sub read {
    my ($self) = @_;
    @$self{qw(answering keep)} = (0, 1);
    my (%env, $length);
    while (1) {
        $length = length $self->{buffer} ? parse_http_request($self->{buffer}, \%env) : -2;
        last if $length >= 0;
        refuse('the head of the request cannot be understood') if $length != -2;
        refuse('the head of the request is too large') if length $self->{buffer} > MAX_HEAD;
        $self->more or return;
    }
    substr($self->{buffer}, 0, $length) = '';
    @$self{qw(old bodiless)} = ($env{SERVER_PROTOCOL} eq 'HTTP/1.0', $env{REQUEST_METHOD} eq 'HEAD');
    # It would be taken for a setting.
    delete $env{HTTP_PROXY};
    my $body = $self->body(\%env);
    return {
        %env,
        SERVER_NAME => 'localhost',
        SERVER_PORT => $ENV{RUNTIME_PORT} || 8888,
        REMOTE_ADDR => '127.0.0.1',
        'psgi.version' => [ 1, 1 ],
        'psgi.url_scheme' => 'http',
        'psgi.input' => $body,
        'psgi.errors' => \*STDERR,
        'psgi.multithread' => Plack::Util::FALSE,
        'psgi.multiprocess' => Plack::Util::TRUE,
        'psgi.run_once' => Plack::Util::FALSE,
        'psgi.nonblocking' => Plack::Util::FALSE,
        'psgi.streaming' => Plack::Util::TRUE,
        'psgix.input.buffered' => Plack::Util::TRUE,
    };
}

sub body {
    my ($self, $env) = @_;
    my $connection = lc($env->{HTTP_CONNECTION} // '');
    $self->{keep} = $self->{old} ? $connection =~ /keep-alive/ : $connection !~ /close/;
    my $coding = lc($env->{HTTP_TRANSFER_ENCODING} // '');
    my $length = $env->{CONTENT_LENGTH} // 0;
    if (length $coding && ($coding ne 'chunked' || exists $env->{CONTENT_LENGTH})) {
        refuse('the length of the body is not clear');
    }
    $length =~ /\A\d{1,18}\z/ or refuse('the length of the body is not a number');
    my $expects = lc($env->{HTTP_EXPECT} // '') eq '100-continue';
    $self->send("HTTP/1.1 100 Continue\r\n\r\n") if $expects && !length $self->{buffer} && (length $coding || $length);
    my $body = Stream::Buffered->new($length);
    if (length $coding) {
        $env->{CONTENT_LENGTH} = $self->chunks($body);
        delete $env->{HTTP_TRANSFER_ENCODING};
    } else {
        $self->copy($body, $length, 0);
    }
    return $body->rewind;
}

sub chunks {
    my ($self, $body) = @_;
    my $whole = 0;
    while (1) {
        my ($size) = $self->line =~ /\A([0-9A-Fa-f]{1,15})(?:[ \t]*;.*)?\z/ or refuse('a chunk of the body cannot be understood');
        my $length = hex $size or last;
        $self->copy($body, $length, $whole);
        $whole += $length;
        $self->line eq '' or refuse('a chunk of the body cannot be understood');
    }
    # Trailers say nothing a function could see.
    while ($self->line ne '') { }
    return $whole;
}

sub line {
    my ($self) = @_;
    my $end;
    while (($end = index $self->{buffer}, "\r\n") < 0) {
        length $self->{buffer} <= MAX_HEAD && $self->more or refuse('the body breaks off');
    }
    my $line = substr $self->{buffer}, 0, $end;
    substr($self->{buffer}, 0, $end + 2) = '';
    return $line;
}

sub copy {
    my ($self, $body, $length, $before) = @_;
    refuse('the body is too large') if $length + $before > MAX_BODY;
    while ($length > 0) {
        length $self->{buffer} || $self->more or refuse('the body breaks off');
        my $part = substr $self->{buffer}, 0, $length, '';
        $body->print($part);
        $length -= length $part;
    }
    return;
}

sub more {
    my ($self) = @_;
    while (1) {
        my $read = sysread $self->{socket}, $self->{buffer}, CHUNK, length $self->{buffer};
        return $read if $read || (defined $read || !$!{EINTR});
    }
}

sub refuse {
    my ($why) = @_;
    die bless { why => $why }, 'Fission::BadRequest';
}

# Sends an answer: [status, headers, body], or a sub that is given one who takes it.
sub answer {
    my ($self, $answer) = @_;
    if (ref $answer eq 'CODE') {
        $answer->(sub { return $self->whole_or_parts(@{ $_[0] }) });
        $self->finish;
        return;
    }
    $self->whole_or_parts(@$answer);
    $self->finish;
    return;
}

# An answer without a body is given one part by part, by who is returned.
sub whole_or_parts {
    my ($self, $status, $headers, $body) = @_;
    if (ref $body eq 'ARRAY') {
        my $text = join '', map { $_ // '' } @$body;
        utf8::downgrade($text, 1) or die "the body has characters beyond bytes: encode it, as with Encode's encode_utf8\n";
        $self->send($self->head($status, $headers, length $text) . ($self->{bodiless} ? '' : $text));
        return;
    }
    $self->begin($status, $headers);
    return bless { connection => $self }, 'Fission::Connection::Writer' if !defined $body;
    Plack::Util::foreach($body, sub { $self->part($_[0]) });
    return;
}

sub begin {
    my ($self, $status, $headers) = @_;
    $self->send($self->head($status, $headers));
    return;
}

sub part {
    my ($self, $part) = @_;
    return if $self->{bodiless} || !defined $part || !length $part;
    utf8::downgrade($part, 1) or die "the body has characters beyond bytes: encode it, as with Encode's encode_utf8\n";
    $self->send($self->{chunked} ? sprintf("%x\r\n%s\r\n", length $part, $part) : $part);
    return;
}

sub finish {
    my ($self) = @_;
    $self->{answering} or die "the function's answer never came: it did not call who takes it\n";
    $self->send("0\r\n\r\n") if $self->{chunked} && !$self->{bodiless};
    $self->{chunked} = 0;
    return;
}

sub head {
    my ($self, $status, $headers, $size) = @_;
    $status =~ /\A[2-9]\d\d\z/ or die "the function's status is $status, not a number from 200 to 999\n";
    $self->{bodiless} ||= $status == 204 || $status == 304;
    $self->{chunked} = !defined $size && !$self->{old};
    $self->{keep} &&= defined $size || $self->{chunked};
    my $reason = HTTP::Status::status_message($status) // '';
    my $head = "HTTP/1.1 $status $reason\r\n";
    my @headers = @$headers;
    while (my ($name, $value) = splice @headers, 0, 2) {
        if (lc $name eq 'connection' && lc $value eq 'close') {
            $self->{keep} = 0;
        } elsif ($name !~ /\A(?:connection|content-length|transfer-encoding)\z/i) {
            $value //= '';
            # The end of a line in it would begin another header.
            $value =~ s/[\r\n]+[ \t]*/ /g;
            utf8::encode($value) if $value =~ /[^\x00-\xff]/;
            $head .= "$name: $value\r\n";
        }
    }
    if ($status != 204) {
        $head .= defined $size ? "Content-Length: $size\r\n" : $self->{chunked} ? "Transfer-Encoding: chunked\r\n" : '';
    }
    $head .= "Connection: close\r\n" if !$self->{keep};
    $self->{answering} = 1;
    utf8::downgrade($head);
    return "$head\r\n";
}

sub send {
    my ($self, $data) = @_;
    my $offset = 0;
    while ($offset < length $data) {
        my $sent = syswrite $self->{socket}, $data, length($data) - $offset, $offset;
        if (defined $sent) {
            $offset += $sent;
        } elsif (!$!{EINTR}) {
            $self->{keep} = 0;
            die bless {}, 'Fission::Gone';
        }
    }
    return;
}

package Fission::Connection::Writer;

# What PSGI gives a function that sends its body part by part.

sub write {
    my ($self, $part) = @_;
    $self->{connection}->part($part);
    return;
}

sub close { return }

1;
