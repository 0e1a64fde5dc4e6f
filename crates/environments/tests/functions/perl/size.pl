return sub {
    my ($request) = @_;
    return length $request->body;
};
