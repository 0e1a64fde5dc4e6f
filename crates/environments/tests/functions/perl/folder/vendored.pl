use Word;

return sub { return Word::TEXT };
