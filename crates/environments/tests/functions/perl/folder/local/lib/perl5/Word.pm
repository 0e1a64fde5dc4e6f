package Word;

use constant TEXT => 'vendored';

1;
