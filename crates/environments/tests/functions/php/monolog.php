<?php

use Psr\Log\LoggerInterface;

function handler(array $context): void
{
    (function (LoggerInterface $logger) {
        $logger->warning('low on {what}', ['what' => 'memory']);
    })($context['logger']);
    echo $undefined;
}
