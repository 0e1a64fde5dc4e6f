<?php
// Bodies and addresses as PSR-7 has them.

namespace Fission\Http;

use InvalidArgumentException;
use Psr\Http\Message\StreamInterface;
use Psr\Http\Message\UriInterface;
use RuntimeException;

/** A body: a PHP stream, in memory or, when large, in a temporary file. */
final class Stream implements StreamInterface
{
    /** @param resource|null $stream */
    public function __construct(private $stream)
    {
    }

    public static function of(string $content): self
    {
        $stream = new self(fopen('php://temp', 'w+b'));
        if ($content !== '') {
            $stream->write($content);
            $stream->rewind();
        }
        return $stream;
    }

    public function __toString(): string
    {
        if ($this->stream === null) {
            return '';
        }
        if ($this->isSeekable()) {
            $this->rewind();
        }
        return $this->getContents();
    }

    public function close(): void
    {
        if ($stream = $this->detach()) {
            fclose($stream);
        }
    }

    public function detach()
    {
        [$stream, $this->stream] = [$this->stream, null];
        return $stream;
    }

    public function getSize(): ?int
    {
        return $this->stream === null ? null : fstat($this->stream)['size'] ?? null;
    }

    public function tell(): int
    {
        return $this->worked(ftell($this->open()), 'told its position');
    }

    public function eof(): bool
    {
        return $this->stream === null || feof($this->stream);
    }

    public function isSeekable(): bool
    {
        return (bool) $this->getMetadata('seekable');
    }

    public function seek(int $offset, int $whence = SEEK_SET): void
    {
        $this->worked(fseek($this->open(), $offset, $whence) === 0, 'moved in');
    }

    public function rewind(): void
    {
        $this->seek(0);
    }

    public function isWritable(): bool
    {
        return strpbrk((string) $this->getMetadata('mode'), 'waxc+') !== false;
    }

    public function write(string $string): int
    {
        return $this->worked($this->isWritable() ? fwrite($this->open(), $string) : false, 'written');
    }

    public function isReadable(): bool
    {
        return strpbrk((string) $this->getMetadata('mode'), 'r+') !== false;
    }

    public function read(int $length): string
    {
        return $this->worked($this->isReadable() ? fread($this->open(), max(1, $length)) : false, 'read');
    }

    public function getContents(): string
    {
        return $this->worked($this->isReadable() ? stream_get_contents($this->open()) : false, 'read');
    }

    public function getMetadata(?string $key = null): mixed
    {
        $all = $this->stream === null ? [] : stream_get_meta_data($this->stream);
        return $key === null ? $all : $all[$key] ?? null;
    }

    private function open()
    {
        return $this->stream ?? throw new RuntimeException('the stream is closed');
    }

    private function worked(mixed $result, string $what): mixed
    {
        return $result !== false ? $result : throw new RuntimeException("the stream cannot be $what");
    }
}

/** An address, in its parts. */
final class Uri implements UriInterface
{
    private const PORTS = ['http' => 80, 'https' => 443];
    private string $scheme = '';
    private string $user = '';
    private string $host = '';
    private ?int $port = null;
    private string $path = '';
    private string $query = '';
    private string $fragment = '';

    /** The address a request line and a Host header stand for. */
    public static function ofTarget(string $target, string $host): self
    {
        $uri = new self();
        $uri->scheme = 'http';
        if (preg_match('#^(https?)://([^/?]*)(.*)$#i', $target, $parts)) {
            [, $uri->scheme, $host, $target] = $parts;
        }
        if (preg_match('/^(.*?)(?::(\d{1,5}))?$/', $host, $parts)) {
            $uri->host = strtolower($parts[1]);
            $uri->port = isset($parts[2]) ? (int) $parts[2] : null;
        }
        [$uri->path, $uri->query] = explode('?', $target, 2) + [1 => ''];
        return $uri;
    }

    public function getScheme(): string
    {
        return $this->scheme;
    }

    public function getAuthority(): string
    {
        $port = $this->getPort();
        return ($this->user !== '' ? "$this->user@" : '') . $this->host . ($port !== null ? ":$port" : '');
    }

    public function getUserInfo(): string
    {
        return $this->user;
    }

    public function getHost(): string
    {
        return $this->host;
    }

    public function getPort(): ?int
    {
        return $this->port === (self::PORTS[$this->scheme] ?? null) ? null : $this->port;
    }

    public function getPath(): string
    {
        return $this->path;
    }

    public function getQuery(): string
    {
        return $this->query;
    }

    public function getFragment(): string
    {
        return $this->fragment;
    }

    public function withScheme(string $scheme): static
    {
        return $this->with('scheme', strtolower($scheme));
    }

    public function withUserInfo(string $user, ?string $password = null): static
    {
        return $this->with('user', $user . ($user !== '' && $password !== null ? ":$password" : ''));
    }

    public function withHost(string $host): static
    {
        return $this->with('host', strtolower($host));
    }

    public function withPort(?int $port): static
    {
        if ($port !== null && ($port < 1 || $port > 65535)) {
            throw new InvalidArgumentException("$port is not a port");
        }
        return $this->with('port', $port);
    }

    public function withPath(string $path): static
    {
        return $this->with('path', self::encoded($path));
    }

    public function withQuery(string $query): static
    {
        return $this->with('query', self::encoded($query));
    }

    public function withFragment(string $fragment): static
    {
        return $this->with('fragment', self::encoded($fragment));
    }

    public function __toString(): string
    {
        $authority = $this->getAuthority();
        $path = $authority !== '' && $this->path !== '' && $this->path[0] !== '/' ? "/$this->path" : $this->path;
        if ($authority === '' && str_starts_with($path, '//')) {
            $path = '/' . ltrim($path, '/');
        }
        return ($this->scheme !== '' ? "$this->scheme:" : '') . ($authority !== '' ? "//$authority" : '') . $path
            . ($this->query !== '' ? "?$this->query" : '') . ($this->fragment !== '' ? "#$this->fragment" : '');
    }

    private function with(string $part, mixed $value): static
    {
        $copy = clone $this;
        $copy->$part = $value;
        return $copy;
    }

    /** Percent-encodes what may not stand in an address and leaves what is encoded already. */
    private static function encoded(string $text): string
    {
        return preg_replace_callback(
            '/[^A-Za-z0-9_\-.~!$&\'()*+,;=%:@\/?]+|%(?![A-Fa-f0-9]{2})/',
            fn ($found) => rawurlencode($found[0]),
            $text,
        );
    }
}
