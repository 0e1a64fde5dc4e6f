<?php

require __DIR__ . '/lib/words.php';

function handler($context)
{
    $context['response']->getBody()->write(word());
}

function hello($context)
{
    $context['response']->getBody()->write('from a folder');
}
