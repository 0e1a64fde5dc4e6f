<?php

function handler($context)
{
    usleep(300000);
    $context['response']->getBody()->write('slow');
}
