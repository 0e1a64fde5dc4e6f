package App::Fission::Perl;
use Dancer2;
use Plack::Response;

# A body that is sent as it is made, and fails on the way.
package Halfway {
    my $parts = 0;
    sub getline { return $parts++ ? die 'broke off' : 'first' }
    sub close { print "closed\n" }
}

return sub {
    my ($request) = @_;
    my $form = $request->query_parameters->get('form') // '';
    warning 'low on memory';
    return { response => 'made' } if $form eq 'hash';
    return Plack::Response->new(202, [ 'X-Answer' => 'yes' ], 'made') if $form eq 'response';
    return [ 203, [ 'Set-Cookie' => 'a=1', 'Set-Cookie' => 'b=2' ], ['text'] ] if $form eq 'headers';
    return [ 200, [], bless({}, 'Halfway') ] if $form eq 'halfway';
    send_error('no such thing', 404) if $form eq 'error';
    redirect '/elsewhere' if $form eq 'redirect';
    exit 3 if $form eq 'exit';
    kill KILL => $$ if $form eq 'kill';
    if ($form eq 'fork') {
        defined(my $child = fork) or die $!;
        exit 0 if !$child;
        waitpid $child, 0;
        return "ended with $?";
    }
    return join ' ', $request->body_parameters->get('a'), $request->query_parameters->get('b'),
        $request->header('x-fission-params-name'), param('b');
};
