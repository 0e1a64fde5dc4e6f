<?php
// Starts the server of the php environment. Start reading in dispatcher.php (connections), then worker.php (the protocol)
// and load.php (the function).

namespace Fission;

foreach (['psr', 'stream', 'message', 'http', 'output', 'errorlog', 'load', 'worker', 'dispatcher'] as $file) {
    require __DIR__ . "/$file.php";
}

/** Goes the whole way once with a function of its own, so that everything it needs is there before a user comes. */
function warmUp(): void
{
    socket_create_pair(AF_UNIX, SOCK_STREAM, 0, $pair);
    $body = "POST / HTTP/1.1\r\nHost: warm\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b";
    socket_write($pair[0], $body . $body);
    $worker = new Worker(null);
    $worker->specialize(__DIR__ . '/warm/user.php', 'user.php::Fission\Warm\handler', []);
    $worker->serve($pair[1]);
    gc_collect_cycles();
}

Output::install();
warmUp();
try {
    Dispatcher::listen()->run();
} catch (\RuntimeException $error) {
    fwrite(STDERR, "php environment: {$error->getMessage()}\n");
    exit(1);
}
