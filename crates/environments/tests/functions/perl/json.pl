package App::Fission::Perl;
use Dancer2;

set serializer => 'JSON';

return sub {
    my ($request) = @_;
    return { seen => $request->data->{text} };
};
