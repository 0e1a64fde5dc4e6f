use Words;

return sub { return Words::FOLDER };
