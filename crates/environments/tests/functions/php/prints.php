<?php

function handler($context)
{
    echo "one\n";
    fwrite(STDERR, "two\n");
    error_log('three');
}
