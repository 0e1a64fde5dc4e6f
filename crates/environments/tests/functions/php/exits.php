<?php

function handler($context)
{
    if ($context['request']->getQueryParams()['fatal'] ?? false) {
        ini_set('memory_limit', '16M');
        echo strlen(str_repeat('x', (int) $_GET['fatal'] << 26));
    }
    exit(1);
}
