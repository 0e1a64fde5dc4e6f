<?php

function handler($context)
{
    $context['response']->getBody()->write((string) strlen((string) $context['request']->getBody()));
}
