<?php
// Errors as lines of the log. PHP's own error_log is disabled, which frees the name: it writes past all that could say
// which request a line belongs to.

function error_log(string $message, int $message_type = 0, ?string $destination = null, ?string $additional_headers = null): bool
{
    return match ($message_type) {
        1 => mail((string) $destination, 'PHP error_log message', $message, (string) $additional_headers),
        3 => file_put_contents((string) $destination, $message, FILE_APPEND) !== false,
        default => fwrite(STDERR, rtrim($message, "\n") . "\n") !== false,
    };
}

set_error_handler(function (int $level, string $message, string $file, int $line): bool {
    if (error_reporting() & $level) {
        $kind = match ($level) {
            E_DEPRECATED, E_USER_DEPRECATED => 'Deprecated',
            E_NOTICE, E_USER_NOTICE => 'Notice',
            E_USER_ERROR, E_RECOVERABLE_ERROR => 'Error',
            default => 'Warning',
        };
        fwrite(STDERR, "PHP $kind: $message in $file:$line\n");
    }
    return $level !== E_USER_ERROR;
});
