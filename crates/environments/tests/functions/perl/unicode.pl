use utf8;

return sub {
    return 'Grüße, 世界 🌍';
};
