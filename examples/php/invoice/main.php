<?php

use Example\Money\Money;

// The class comes from a package: composer.json asks for it, the build installs it into vendor/, the server loads that.
function handler(array $context): void
{
    $cents = (int) ($context['request']->getQueryParams()['cents'] ?? 0);
    $context['response']->getBody()->write(new Money($cents, 'EUR') . "\n");
}
