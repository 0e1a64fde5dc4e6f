<?php

use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;

// JSON in and out, a status of its own, a line in the log.
function handler(array $context): ResponseInterface
{
    /** @var ServerRequestInterface $request */
    $request = $context['request'];
    $name = $request->getQueryParams()['name'] ?? null;
    if ($name === null) {
        return $context['response']->withStatus(400);
    }
    $context['logger']->info('{name} was here', ['name' => $name]);
    $context['response']->getBody()->write(json_encode(['greeting' => "Hello, $name!"]) . "\n");
    return $context['response']->withHeader('Content-Type', 'application/json');
}
