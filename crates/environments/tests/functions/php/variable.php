<?php

define('AT_LOAD', getenv('GREETING'));

function handler($context)
{
    $context['response']->getBody()->write(AT_LOAD . ' ' . $_ENV['GREETING'] . ' ' . getenv('FROM_START'));
}
