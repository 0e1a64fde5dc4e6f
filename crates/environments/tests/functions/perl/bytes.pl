sub { return [ 200, [ 'Content-Type' => 'application/octet-stream' ], [ pack 'C*', 0 .. 255 ] ] };
