package App::Fission::Perl;
use Dancer2;

# The query, JSON, a status of its own, a line in the log.
return sub {
    my ($request) = @_;
    my $name = $request->query_parameters->get('name') or send_error('name, please', 400);
    info "$name was here";
    content_type 'application/json';
    return encode_json({ greeting => "Hello, $name!" }) . "\n";
};
