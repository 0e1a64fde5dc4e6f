package Words;

use constant FOLDER => 'from a folder';

1;
