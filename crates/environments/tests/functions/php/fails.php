<?php

function handler($context)
{
    $context['response']->getBody()->write('half an answer');
    throw new RuntimeException('the reason');
}
