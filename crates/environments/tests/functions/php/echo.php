<?php

use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;

function handler(array $context): ResponseInterface
{
    /** @var ServerRequestInterface $request */
    $request = $context['request'];
    $response = $context['response'];
    $response->getBody()->write(json_encode([
        'method' => $request->getMethod(),
        'path' => $request->getUri()->getPath(),
        'query' => $request->getUri()->getQuery(),
        'header' => $request->getHeaderLine('x-test'),
        'body' => $request->getBody()->getContents(),
    ], JSON_UNESCAPED_SLASHES));
    return $response->withStatus(201)->withHeader('X-Answer', 'yes');
}
