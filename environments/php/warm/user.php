<?php
// The function the server calls before it listens. Its namespace keeps its name free.

namespace Fission\Warm;

use Psr\Http\Message\ServerRequestInterface;

function handler(array $context): object
{
    $request = $context['request'];
    $text = $request instanceof ServerRequestInterface ? (string) $request->getBody() . $request->getUri() : '';
    $context['response']->getBody()->write($text . json_encode($request->getQueryParams()));
    return $context['response']->withStatus(200)->withHeader('Content-Type', 'text/plain');
}
