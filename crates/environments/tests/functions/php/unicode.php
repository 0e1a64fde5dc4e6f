<?php

function handler($context)
{
    $context['response']->getBody()->write('Grüße, 世界 🌍');
}
