package App::Fission::Perl;
use Dancer2;

return sub {
    my ($request) = @_;
    status 201;
    response_header 'X-Answer' => 'yes';
    content_type 'application/json';
    return encode_json({
        method => $request->method,
        path => $request->path,
        query => $request->query_string,
        header => $request->header('X-Test') // '',
        body => $request->body,
    });
};
