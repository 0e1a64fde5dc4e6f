use Money;

# The class comes from a module: the cpanfile asks for it, the build installs it into local, the server finds it there.
return sub {
    my ($request) = @_;
    my $total = Money->new($request->query_parameters->get('cents') // 0, 'EUR');
    return [ 200, [ 'Content-Type' => 'text/plain' ], [ $total->text . "\n" ] ];
};
