use strict;
use Left;

die 'not ready';
