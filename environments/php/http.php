<?php
// HTTP/1.1 on a socket, one request after the other.

namespace Fission\Http;

use Psr\Http\Message\ResponseInterface;
use Socket;

/** The request cannot be understood; the message is for the client. */
final class BadRequest extends \Exception
{
}

/** The client is gone. */
final class Gone extends \Exception
{
}

/** A connection, while a worker has it. */
final class Connection
{
    /** Bytes of a request's head. The platform's router refuses far fewer. */
    private const MAX_HEAD = 1 << 20;
    /** Bytes of a request's body. Those above 2 MB wait in a temporary file. */
    private const MAX_BODY = 4 << 30;
    /** Bytes read or written at once. */
    private const CHUNK = 1 << 16;

    /** What came after the last request. */
    private string $buffer = '';
    private bool $old = false;
    private bool $bodiless = false;
    private bool $chunked = false;
    /** Whether an answer was begun. */
    public bool $answering = false;
    /** Whether another request may come. */
    public bool $keep = true;

    public function __construct(private Socket $socket)
    {
    }

    /** Whether a part of another request is here already. */
    public function hasMore(): bool
    {
        return $this->buffer !== '';
    }

    /** The next request with its whole body; null when there is none. */
    public function read(): ?ServerRequest
    {
        [$this->answering, $this->keep] = [false, true];
        $end = false;
        while (($end = strpos($this->buffer, "\r\n\r\n")) === false) {
            if (strlen($this->buffer) > self::MAX_HEAD) {
                throw new BadRequest('the head of the request is too large');
            }
            if (!$this->more()) {
                return null;
            }
        }
        $lines = explode("\r\n", substr($this->buffer, 0, $end));
        $this->buffer = substr($this->buffer, $end + 4);
        if (!preg_match('#^([!\#$%&\'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/(1\.[01])$#D', array_shift($lines), $first)) {
            throw new BadRequest('the request line cannot be understood');
        }
        [, $method, $target, $version] = $first;
        $headers = [];
        foreach ($lines as $line) {
            [$name, $value] = explode(':', $line, 2) + [1 => null];
            if ($value === null || !preg_match('/^[!#$%&\'*+.^_`|~0-9A-Za-z-]+$/D', $name)) {
                throw new BadRequest('a header cannot be understood');
            }
            $headers[] = [$name, trim($value, " \t")];
        }
        $this->old = $version === '1.0';
        $this->bodiless = $method === 'HEAD';
        return new ServerRequest($method, $target, $headers, $this->body($headers), $version, self::server($method, $target, $headers));
    }

    /** The variables scripts know a request by. */
    private static function server(string $method, string $target, array $headers): array
    {
        $server = [
            'REQUEST_METHOD' => $method, 'REQUEST_URI' => $target, 'QUERY_STRING' => explode('?', $target, 2)[1] ?? '',
            'REQUEST_TIME' => time(), 'REQUEST_TIME_FLOAT' => microtime(true),
        ];
        foreach ($headers as [$name, $value]) {
            $key = strtoupper(strtr($name, '-', '_'));
            // HTTP_PROXY would be taken for a setting.
            if ($key !== 'PROXY') {
                $server[in_array($key, ['CONTENT_TYPE', 'CONTENT_LENGTH'], true) ? $key : "HTTP_$key"] = $value;
            }
        }
        return $server;
    }

    private function body(array $headers): Stream
    {
        $values = [];
        foreach ($headers as [$name, $value]) {
            $values[strtolower($name)][] = $value;
        }
        $connection = strtolower(implode(',', $values['connection'] ?? []));
        $this->keep = $this->old ? str_contains($connection, 'keep-alive') : !str_contains($connection, 'close');
        $coding = strtolower(implode(',', $values['transfer-encoding'] ?? []));
        $lengths = array_unique($values['content-length'] ?? []);
        if (($coding !== '' && ($coding !== 'chunked' || $lengths !== [])) || count($lengths) > 1) {
            throw new BadRequest('the length of the body is not clear');
        }
        $body = Stream::of('');
        $length = $lengths === [] ? '0' : reset($lengths);
        if (!ctype_digit($length) || strlen($length) > 18) {
            throw new BadRequest('the length of the body is not a number');
        }
        if (strtolower($values['expect'][0] ?? '') === '100-continue' && $this->buffer === '' && ($coding !== '' || $length > 0)) {
            $this->send("HTTP/1.1 100 Continue\r\n\r\n");
        }
        if ($coding === 'chunked') {
            $this->chunks($body);
        } else {
            $this->copy($body, (int) $length);
        }
        $body->rewind();
        return $body;
    }

    private function chunks(Stream $body): void
    {
        do {
            $line = $this->line();
            if (!preg_match('/^([0-9A-Fa-f]{1,15})(?:[ \t]*;.*)?$/D', $line, $size)) {
                throw new BadRequest('a chunk of the body cannot be understood');
            }
            $length = hexdec($size[1]);
            if ($length > 0) {
                $this->copy($body, $length);
                if ($this->line() !== '') {
                    throw new BadRequest('a chunk of the body cannot be understood');
                }
            }
        } while ($length > 0);
        while ($this->line() !== '') {
            // Trailers say nothing a function could see.
        }
    }

    private function line(): string
    {
        while (($end = strpos($this->buffer, "\r\n")) === false) {
            if (strlen($this->buffer) > self::MAX_HEAD || !$this->more()) {
                throw new BadRequest('the body breaks off');
            }
        }
        $line = substr($this->buffer, 0, $end);
        $this->buffer = substr($this->buffer, $end + 2);
        return $line;
    }

    private function copy(Stream $body, int $length): void
    {
        if ($length + $body->getSize() > self::MAX_BODY) {
            throw new BadRequest('the body is too large');
        }
        while ($length > 0) {
            if ($this->buffer === '' && !$this->more()) {
                throw new BadRequest('the body breaks off');
            }
            $part = substr($this->buffer, 0, $length);
            $this->buffer = substr($this->buffer, strlen($part));
            $length -= $body->write($part);
        }
    }

    private function more(): bool
    {
        $data = '';
        if (!@socket_recv($this->socket, $data, self::CHUNK, 0)) {
            return false;
        }
        $this->buffer .= $data;
        return true;
    }

    /** Sends an answer whose body is there. */
    public function answer(ResponseInterface $response): void
    {
        $body = $response->getBody();
        $size = $body->getSize();
        if ($body->isSeekable()) {
            $body->rewind();
        } elseif ($size !== null) {
            // What was read of it before cannot be sent any more.
            $size = null;
        }
        $head = $this->head($response, $size);
        if ($size !== null && $size <= self::CHUNK) {
            $this->send($head . ($this->bodiless ? '' : $body->getContents()));
            return;
        }
        $this->send($head);
        while (!$this->bodiless && !$body->eof()) {
            $this->chunk($body->read(self::CHUNK));
        }
        $this->finish();
    }

    /** Begins an answer whose body comes in chunks. */
    public function begin(ResponseInterface $response): void
    {
        $this->send($this->head($response, null));
    }

    public function chunk(string $data): void
    {
        if ($data !== '' && !$this->bodiless) {
            $this->send($this->chunked ? dechex(strlen($data)) . "\r\n$data\r\n" : $data);
        }
    }

    public function finish(): void
    {
        if ($this->chunked && !$this->bodiless) {
            $this->send("0\r\n\r\n");
        }
    }

    private function head(ResponseInterface $response, ?int $size): string
    {
        $status = $response->getStatusCode();
        $this->answering = true;
        $this->bodiless = $this->bodiless || $status < 200 || $status === 204 || $status === 304;
        $this->chunked = $size === null && !$this->old;
        $this->keep = $this->keep && ($size !== null || $this->chunked)
            && strtolower($response->getHeaderLine('connection')) !== 'close';
        $head = "HTTP/1.1 $status {$response->getReasonPhrase()}\r\n";
        foreach ($response->getHeaders() as $name => $values) {
            if (!in_array(strtolower($name), ['connection', 'content-length', 'transfer-encoding'], true)) {
                foreach ($values as $value) {
                    $head .= "$name: $value\r\n";
                }
            }
        }
        if ($status >= 200 && $status !== 204) {
            $head .= $size !== null ? "Content-Length: $size\r\n" : ($this->chunked ? "Transfer-Encoding: chunked\r\n" : '');
        }
        return $head . ($this->keep ? '' : "Connection: close\r\n") . "\r\n";
    }

    private function send(string $data): void
    {
        while ($data !== '') {
            $sent = @socket_write($this->socket, $data);
            if ($sent === false) {
                $this->keep = false;
                throw new Gone();
            }
            $data = substr($data, $sent);
        }
    }
}
