return sub {
    return sub {
        my ($respond) = @_;
        my $writer = $respond->([ 200, [ 'Content-Type' => 'text/plain' ] ]);
        $writer->write('first');
        select undef, undef, undef, 0.3;
        $writer->write('second');
        $writer->close;
    };
};
