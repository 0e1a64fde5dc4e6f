<?php
// The interfaces of PSR-7 (messages) and PSR-3 (logging) that functions declare their arguments with. Signatures are those
// of psr/http-message 1.1 and psr/log 2: classes written for any later or earlier version can implement them.

namespace Psr\Http\Message {
    interface MessageInterface
    {
        public function getProtocolVersion();
        public function withProtocolVersion(string $version);
        public function getHeaders();
        public function hasHeader(string $name);
        public function getHeader(string $name);
        public function getHeaderLine(string $name);
        public function withHeader(string $name, $value);
        public function withAddedHeader(string $name, $value);
        public function withoutHeader(string $name);
        public function getBody();
        public function withBody(StreamInterface $body);
    }

    interface RequestInterface extends MessageInterface
    {
        public function getRequestTarget();
        public function withRequestTarget(string $requestTarget);
        public function getMethod();
        public function withMethod(string $method);
        public function getUri();
        public function withUri(UriInterface $uri, bool $preserveHost = false);
    }

    interface ServerRequestInterface extends RequestInterface
    {
        public function getServerParams();
        public function getCookieParams();
        public function withCookieParams(array $cookies);
        public function getQueryParams();
        public function withQueryParams(array $query);
        public function getUploadedFiles();
        public function withUploadedFiles(array $uploadedFiles);
        public function getParsedBody();
        public function withParsedBody($data);
        public function getAttributes();
        public function getAttribute(string $name, $default = null);
        public function withAttribute(string $name, $value);
        public function withoutAttribute(string $name);
    }

    interface ResponseInterface extends MessageInterface
    {
        public function getStatusCode();
        public function withStatus(int $code, string $reasonPhrase = '');
        public function getReasonPhrase();
    }

    interface StreamInterface
    {
        public function __toString();
        public function close();
        public function detach();
        public function getSize();
        public function tell();
        public function eof();
        public function isSeekable();
        public function seek(int $offset, int $whence = SEEK_SET);
        public function rewind();
        public function isWritable();
        public function write(string $string);
        public function isReadable();
        public function read(int $length);
        public function getContents();
        public function getMetadata(?string $key = null);
    }

    interface UriInterface
    {
        public function getScheme();
        public function getAuthority();
        public function getUserInfo();
        public function getHost();
        public function getPort();
        public function getPath();
        public function getQuery();
        public function getFragment();
        public function withScheme(string $scheme);
        public function withUserInfo(string $user, ?string $password = null);
        public function withHost(string $host);
        public function withPort(?int $port);
        public function withPath(string $path);
        public function withQuery(string $query);
        public function withFragment(string $fragment);
        public function __toString();
    }
}

namespace Psr\Log {
    interface LoggerInterface
    {
        public function emergency(string|\Stringable $message, array $context = []);
        public function alert(string|\Stringable $message, array $context = []);
        public function critical(string|\Stringable $message, array $context = []);
        public function error(string|\Stringable $message, array $context = []);
        public function warning(string|\Stringable $message, array $context = []);
        public function notice(string|\Stringable $message, array $context = []);
        public function info(string|\Stringable $message, array $context = []);
        public function debug(string|\Stringable $message, array $context = []);
        public function log($level, string|\Stringable $message, array $context = []);
    }
}
