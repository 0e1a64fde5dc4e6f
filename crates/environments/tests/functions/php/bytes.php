<?php

function handler($context)
{
    $context['response']->getBody()->write(implode('', array_map('chr', range(0, 255))));
}
