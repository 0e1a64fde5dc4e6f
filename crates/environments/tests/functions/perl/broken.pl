return sub {
    = 2;
};
