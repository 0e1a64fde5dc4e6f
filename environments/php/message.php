<?php
// Requests and responses as PSR-7 has them: values that are never changed, only copied; their bodies are streams.

namespace Fission\Http;

use InvalidArgumentException;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;
use Psr\Http\Message\StreamInterface;
use Psr\Http\Message\UriInterface;

/** What requests and responses share: a version, headers and a body. */
abstract class Message
{
    protected string $version = '1.1';
    /** @var array<string, list<string>> values by the name as it was given */
    protected array $headers = [];
    /** @var array<string, string> the name as it was given, by the name in lower case */
    protected array $names = [];
    protected StreamInterface $body;

    public function getProtocolVersion(): string
    {
        return $this->version;
    }

    public function withProtocolVersion(string $version): static
    {
        return $this->with(fn ($copy) => $copy->version = $version);
    }

    public function getHeaders(): array
    {
        return $this->headers;
    }

    public function hasHeader(string $name): bool
    {
        return isset($this->names[strtolower($name)]);
    }

    public function getHeader(string $name): array
    {
        return $this->headers[$this->names[strtolower($name)] ?? ''] ?? [];
    }

    public function getHeaderLine(string $name): string
    {
        return implode(', ', $this->getHeader($name));
    }

    public function withHeader(string $name, $value): static
    {
        return $this->with(function ($copy) use ($name, $value) {
            $copy->dropHeader($name);
            $copy->addHeader($name, $value);
        });
    }

    public function withAddedHeader(string $name, $value): static
    {
        return $this->with(fn ($copy) => $copy->addHeader($name, $value));
    }

    public function withoutHeader(string $name): static
    {
        return $this->with(fn ($copy) => $copy->dropHeader($name));
    }

    public function getBody(): StreamInterface
    {
        return $this->body;
    }

    public function withBody(StreamInterface $body): static
    {
        return $this->with(fn ($copy) => $copy->body = $body);
    }

    protected function with(callable $change): static
    {
        $copy = clone $this;
        $change($copy);
        return $copy;
    }

    protected function addHeader(string $name, $value): void
    {
        if (!preg_match('/^[!#$%&\'*+.^_`|~0-9A-Za-z-]+$/D', $name)) {
            throw new InvalidArgumentException("$name is not a header name");
        }
        $values = is_array($value) ? array_values($value) : [$value];
        if ($values === []) {
            throw new InvalidArgumentException("the header $name needs a value");
        }
        foreach ($values as $one) {
            if (!is_scalar($one) || preg_match('/[\r\n\0]/', (string) $one)) {
                throw new InvalidArgumentException("the header $name has a value that cannot be sent");
            }
            $this->headers[$this->names[strtolower($name)] ??= $name][] = trim((string) $one, " \t");
        }
    }

    protected function dropHeader(string $name): void
    {
        $key = strtolower($name);
        unset($this->headers[$this->names[$key] ?? ''], $this->names[$key]);
    }
}

/** What a function answers. */
final class Response extends Message implements ResponseInterface
{
    private const PHRASES = [
        200 => 'OK', 201 => 'Created', 202 => 'Accepted', 204 => 'No Content', 206 => 'Partial Content',
        301 => 'Moved Permanently', 302 => 'Found', 303 => 'See Other', 304 => 'Not Modified', 307 => 'Temporary Redirect',
        308 => 'Permanent Redirect', 400 => 'Bad Request', 401 => 'Unauthorized', 403 => 'Forbidden', 404 => 'Not Found',
        405 => 'Method Not Allowed', 409 => 'Conflict', 410 => 'Gone', 413 => 'Content Too Large', 418 => 'I\'m a teapot',
        422 => 'Unprocessable Content', 429 => 'Too Many Requests', 500 => 'Internal Server Error', 501 => 'Not Implemented',
        502 => 'Bad Gateway', 503 => 'Service Unavailable', 504 => 'Gateway Timeout',
    ];

    public function __construct(private int $status = 200, array $headers = [], string $body = '', private string $reason = '')
    {
        foreach ($headers as $name => $value) {
            $this->addHeader($name, $value);
        }
        $this->body = Stream::of($body);
    }

    public function getStatusCode(): int
    {
        return $this->status;
    }

    public function withStatus(int $code, string $reasonPhrase = ''): static
    {
        if ($code < 100 || $code > 599) {
            throw new InvalidArgumentException("$code is not a status");
        }
        return $this->with(function ($copy) use ($code, $reasonPhrase) {
            $copy->status = $code;
            $copy->reason = $reasonPhrase;
        });
    }

    public function getReasonPhrase(): string
    {
        return $this->reason !== '' ? $this->reason : self::PHRASES[$this->status] ?? '';
    }
}

/** What a function is asked. */
final class ServerRequest extends Message implements ServerRequestInterface
{
    private array $attributes = [];
    private array $cookies = [];
    private array $files = [];
    private array $query = [];
    private null|array|object $parsed = null;

    /** @param list<array{string, string}> $headers name and value of every header line */
    public function __construct(
        private string $method,
        private string $target,
        array $headers,
        StreamInterface $body,
        string $version,
        private array $server,
    ) {
        foreach ($headers as [$name, $value]) {
            $this->addHeader($name, $value);
        }
        $this->version = $version;
        $this->body = $body;
        $this->uri = Uri::ofTarget($target, $this->getHeaderLine('host'));
        parse_str($this->uri->getQuery(), $this->query);
        foreach (explode(';', $this->getHeaderLine('cookie')) as $pair) {
            [$name, $value] = explode('=', trim($pair), 2) + [1 => ''];
            if ($name !== '') {
                $this->cookies[$name] = urldecode($value);
            }
        }
        if (str_starts_with(strtolower($this->getHeaderLine('content-type')), 'application/x-www-form-urlencoded')) {
            parse_str((string) $body, $this->parsed);
            $body->rewind();
        }
    }

    private UriInterface $uri;

    public function getRequestTarget(): string
    {
        return $this->target;
    }

    public function withRequestTarget(string $requestTarget): static
    {
        return $this->with(fn ($copy) => $copy->target = $requestTarget);
    }

    public function getMethod(): string
    {
        return $this->method;
    }

    public function withMethod(string $method): static
    {
        return $this->with(fn ($copy) => $copy->method = $method);
    }

    public function getUri(): UriInterface
    {
        return $this->uri;
    }

    public function withUri(UriInterface $uri, bool $preserveHost = false): static
    {
        return $this->with(function ($copy) use ($uri, $preserveHost) {
            $copy->uri = $uri;
            $copy->target = ($uri->getPath() ?: '/') . ($uri->getQuery() !== '' ? '?' . $uri->getQuery() : '');
            if ($uri->getHost() !== '' && !($preserveHost && $copy->getHeaderLine('host') !== '')) {
                $copy->dropHeader('Host');
                $copy->addHeader('Host', $uri->getHost() . ($uri->getPort() !== null ? ':' . $uri->getPort() : ''));
            }
        });
    }

    public function getServerParams(): array
    {
        return $this->server;
    }

    public function getCookieParams(): array
    {
        return $this->cookies;
    }

    public function withCookieParams(array $cookies): static
    {
        return $this->with(fn ($copy) => $copy->cookies = $cookies);
    }

    public function getQueryParams(): array
    {
        return $this->query;
    }

    public function withQueryParams(array $query): static
    {
        return $this->with(fn ($copy) => $copy->query = $query);
    }

    public function getUploadedFiles(): array
    {
        return $this->files;
    }

    public function withUploadedFiles(array $uploadedFiles): static
    {
        return $this->with(fn ($copy) => $copy->files = $uploadedFiles);
    }

    public function getParsedBody(): null|array|object
    {
        return $this->parsed;
    }

    public function withParsedBody($data): static
    {
        return $this->with(fn ($copy) => $copy->parsed = $data);
    }

    public function getAttributes(): array
    {
        return $this->attributes;
    }

    public function getAttribute(string $name, $default = null): mixed
    {
        return array_key_exists($name, $this->attributes) ? $this->attributes[$name] : $default;
    }

    public function withAttribute(string $name, $value): static
    {
        return $this->with(fn ($copy) => $copy->attributes[$name] = $value);
    }

    public function withoutAttribute(string $name): static
    {
        return $this->with(function ($copy) use ($name) {
            unset($copy->attributes[$name]);
        });
    }
}
