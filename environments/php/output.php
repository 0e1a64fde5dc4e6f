<?php
// What functions print: in whole lines, each begun with the id of the request it was printed for, between two record
// separators which the log capture takes off again.

namespace Fission;

use Psr\Log\LoggerInterface;

/** Standard output and standard error of a worker, which serves one request at a time. */
final class Output
{
    private const SEPARATOR = "\x1e";
    /** Bytes after which a line that does not end is passed on as it is. */
    private const LONGEST_LINE = 65536;

    private static string $prefix = '';
    /** @var array<string, string> the beginnings of lines, by stream */
    private static array $waiting = ['out' => '', 'err' => ''];

    /** From now on what is printed goes through here. */
    public static function install(): void
    {
        stream_filter_register('fission.out', Lines::class);
        stream_filter_register('fission.err', Lines::class);
        stream_filter_append(STDOUT, 'fission.out', STREAM_FILTER_WRITE);
        stream_filter_append(STDERR, 'fission.err', STREAM_FILTER_WRITE);
    }

    /** From now on lines belong to a request; to none without an id. */
    public static function enter(string $id): void
    {
        self::end();
        self::$prefix = $id === '' ? '' : self::SEPARATOR . $id . self::SEPARATOR;
    }

    /** Ends lines that have begun. */
    public static function end(): void
    {
        foreach (['out' => STDOUT, 'err' => STDERR] as $name => $stream) {
            if (self::$waiting[$name] !== '') {
                fwrite($stream, "\n");
            }
        }
    }

    /** Writes to standard error, also after an error that ends the process: filters are not called then. */
    public static function error(string $text): void
    {
        file_put_contents('php://stderr', self::lines('err', "$text\n"));
    }

    /** Begins to send what `echo` prints to standard output. */
    public static function catchEcho(): void
    {
        ob_start(function (string $printed): string {
            if ($printed !== '') {
                fwrite(STDOUT, $printed);
            }
            return '';
        }, 1);
    }

    /** The finished lines of what waited and what came, with their prefix. */
    public static function lines(string $name, string $data): string
    {
        $data = self::$waiting[$name] . $data;
        $end = strlen($data) > self::LONGEST_LINE ? strlen($data) : (int) strrpos("\n" . $data, "\n");
        self::$waiting[$name] = substr($data, $end);
        $finished = substr($data, 0, $end);
        if ($finished === '' || self::$prefix === '') {
            return $finished;
        }
        return self::$prefix . str_replace("\n", "\n" . self::$prefix, substr($finished, 0, -1)) . substr($finished, -1);
    }
}

/** The filter on both streams. */
final class Lines extends \php_user_filter
{
    public function filter($in, $out, &$consumed, bool $closing): int
    {
        while ($bucket = stream_bucket_make_writeable($in)) {
            $consumed += $bucket->datalen;
            $bucket->data = Output::lines(substr($this->filtername, -3), $bucket->data);
            stream_bucket_append($out, $bucket);
        }
        return PSFS_PASS_ON;
    }
}

/** The logger functions get: one line to standard output per message. */
final class Logger implements LoggerInterface
{
    private const LEVELS = [
        'debug' => 0, 'info' => 1, 'notice' => 2, 'warning' => 3, 'error' => 4, 'critical' => 5, 'alert' => 6, 'emergency' => 7,
    ];
    private int $least;

    public function __construct()
    {
        $this->least = self::LEVELS[strtolower((string) getenv('LOG_LEVEL'))] ?? 0;
    }

    public function log($level, string|\Stringable $message, array $context = []): void
    {
        if ((self::LEVELS[$level] ?? self::LEVELS['emergency']) < $this->least) {
            return;
        }
        $parts = [];
        foreach ($context as $key => $value) {
            $text = $value instanceof \Throwable ? (string) $value : $value;
            $parts['{' . $key . '}'] = is_scalar($text) || $text instanceof \Stringable ? (string) $text : json_encode($text);
        }
        $text = strtr((string) $message, $parts);
        $rest = $context === [] ? '' : ' ' . json_encode(array_combine(array_keys($context), array_values($parts)));
        fwrite(STDOUT, '[' . date('c') . '] Function.' . strtoupper((string) $level) . ": $text$rest\n");
    }

    public function emergency(string|\Stringable $message, array $context = []): void
    {
        $this->log('emergency', $message, $context);
    }

    public function alert(string|\Stringable $message, array $context = []): void
    {
        $this->log('alert', $message, $context);
    }

    public function critical(string|\Stringable $message, array $context = []): void
    {
        $this->log('critical', $message, $context);
    }

    public function error(string|\Stringable $message, array $context = []): void
    {
        $this->log('error', $message, $context);
    }

    public function warning(string|\Stringable $message, array $context = []): void
    {
        $this->log('warning', $message, $context);
    }

    public function notice(string|\Stringable $message, array $context = []): void
    {
        $this->log('notice', $message, $context);
    }

    public function info(string|\Stringable $message, array $context = []): void
    {
        $this->log('info', $message, $context);
    }

    public function debug(string|\Stringable $message, array $context = []): void
    {
        $this->log('debug', $message, $context);
    }
}
