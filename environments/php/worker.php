<?php
// A worker: a process that serves one request at a time, with the function loaded in it.

namespace Fission;

use Fission\Http\BadRequest;
use Fission\Http\Connection;
use Fission\Http\Gone;
use Fission\Http\Response;
use Fission\Http\ServerRequest;
use Psr\Http\Message\ResponseInterface;
use Socket;

final class Worker
{
    // What a worker tells of the connection it was handed: another request may come, or none will.
    public const KEEP = 'k';
    public const CLOSE = 'c';
    // The same from a worker that ends now.
    public const LAST_KEEP = 'K';
    public const LAST_CLOSE = 'C';
    /** Before one of the others: the function was loaded; the next part of what `load` takes follows, as JSON. */
    public const LOADED = 'l';
    /** Bytes of such a part. */
    private const PART = 32768;

    private const UNSPECIALIZED = 'Generic container: no requests supported';
    private const FAILED = 'Internal server error';
    // Version 1 of the protocol.
    private const V1_PATH = '/userfunc/user';

    private ?Code $code = null;
    /** Why the code that once loaded does not load now. */
    private ?\Throwable $broken = null;
    private ?Connection $connection = null;
    private bool $loading = false;
    /** Whether what was run can be run again in this process. */
    private bool $reusable = true;
    private Logger $logger;

    /** @param ?Socket $control to the dispatcher; none while warming up */
    public function __construct(private ?Socket $control)
    {
        $this->logger = new Logger();
    }

    /** Serves what the dispatcher hands over, until it ends. */
    public function run(?array $load): never
    {
        register_shutdown_function($this->ended(...));
        Output::catchEcho();
        mt_srand(random_int(0, PHP_INT_MAX));
        if ($load !== null) {
            try {
                $this->load(...$load);
            } catch (\Throwable $error) {
                $this->broken = $error;
            }
        }
        while ($socket = $this->next()) {
            $this->serve($socket);
        }
        exit(0);
    }

    /** The next connection with a request on it; null when the dispatcher is gone. */
    private function next(): ?Socket
    {
        $message = ['controllen' => socket_cmsg_space(SOL_SOCKET, SCM_RIGHTS, 1), 'buffer_size' => 1];
        $received = @socket_recvmsg($this->control, $message, 0);
        return $received > 0 ? $message['control'][0]['data'][0] ?? null : null;
    }

    /** Serves a connection as long as requests are there. */
    public function serve(Socket $socket): void
    {
        $this->connection = new Connection($socket);
        try {
            do {
                $request = $this->connection->read();
                if ($request === null) {
                    $this->connection->keep = false;
                    break;
                }
                $this->answer($request);
            } while ($this->reusable && $this->connection->keep && $this->connection->hasMore());
        } catch (BadRequest $error) {
            $this->refuse(400, $error->getMessage(), ['Connection' => 'close']);
        } catch (Gone) {
            // There is nobody to tell.
        }
        // Bytes of a next request must not be lost with this process.
        $this->tell($this->connection->keep && !$this->connection->hasMore());
    }

    private function tell(bool $keep): void
    {
        $this->connection = null;
        if ($this->control === null) {
            return;
        }
        $message = $this->reusable ? ($keep ? self::KEEP : self::CLOSE) : ($keep ? self::LAST_KEEP : self::LAST_CLOSE);
        if (!@socket_send($this->control, $message, strlen($message), 0) || !$this->reusable) {
            exit(0);
        }
    }

    private function answer(ServerRequest $request): void
    {
        $path = explode('?', $request->getRequestTarget(), 2)[0];
        $post = $request->getMethod() === 'POST';
        if ($path === '/healthz') {
            $this->refuse(200, '');
        } elseif ($post && $path === '/v2/specialize') {
            $load = json_decode((string) $request->getBody(), true);
            $entry = $load['functionName'] ?? '';
            $env = $load['env'] ?? [];
            if (!is_array($load) || !is_string($load['filepath'] ?? null) || !is_string($entry)) {
                $this->refuse(400, 'the specialize request cannot be read: it must be JSON with filepath and functionName');
            } elseif (!is_array($env) || array_filter($env, 'is_string') !== $env) {
                $this->refuse(400, 'the specialize request cannot be read: env must be names with strings');
            } else {
                $this->specialize($load['filepath'], $entry, $env);
            }
        } elseif ($post && $path === '/specialize') {
            $this->specialize(self::V1_PATH, '', []);
        } elseif ($this->broken !== null) {
            Output::error(Code::explain($this->broken));
            $this->reusable = false;
            $this->refuse(500, self::FAILED);
        } elseif ($this->code === null) {
            $this->refuse(500, self::UNSPECIALIZED);
        } else {
            $this->call($request);
        }
    }

    /** Sets the function's own variables and loads its code. */
    private function load(string $path, string $entry, array $env): void
    {
        foreach ($env as $name => $value) {
            putenv("$name=$value");
            $_ENV[$name] = $value;
        }
        $this->code = Code::load($path, $entry);
    }

    public function specialize(string $path, string $entry, array $env): void
    {
        if ($this->code !== null || $this->broken !== null) {
            $this->refuse(400, 'Not a generic container');
            return;
        }
        $this->loading = true;
        try {
            $this->load($path, $entry, $env);
        } catch (\Throwable $error) {
            $this->failedToLoad(Code::explain($error));
            return;
        } finally {
            $this->loading = false;
        }
        if ($this->control !== null) {
            foreach (str_split(json_encode([$path, $entry, $env]), self::PART) as $part) {
                socket_send($this->control, self::LOADED . $part, strlen($part) + 1, 0);
            }
        }
        $this->refuse(201, '');
    }

    private function failedToLoad(string $why): void
    {
        // What was loaded of it must not meet the next try.
        $this->reusable = false;
        Output::error($why);
        $this->refuse(500, $why);
    }

    /** A text that is no function's answer. */
    private function refuse(int $status, string $text, array $headers = []): void
    {
        $this->connection?->answer(new Response($status, ['Content-Type' => 'text/plain; charset=utf-8'] + $headers, $text));
    }

    private function call(ServerRequest $request): void
    {
        Output::enter($request->getHeaderLine('x-fission-request-id'));
        $_SERVER = $request->getServerParams() + $_SERVER;
        [$_GET, $_COOKIE, $_POST] = [$request->getQueryParams(), $request->getCookieParams(), []];
        if (is_array($request->getParsedBody())) {
            $_POST = $request->getParsedBody();
        }
        try {
            if ($this->code->function === null) {
                $this->script();
            } else {
                $this->function($request);
            }
        } catch (Gone $gone) {
            throw $gone;
        } catch (\Throwable $error) {
            $this->failed(Code::explain($error));
        } finally {
            $this->forget();
            Output::enter('');
        }
    }

    /** Takes the request's variables out of those that stay. */
    private function forget(): void
    {
        foreach (array_keys($_SERVER) as $name) {
            if (str_starts_with($name, 'HTTP_')) {
                unset($_SERVER[$name]);
            }
        }
    }

    private function failed(string $why): void
    {
        Output::error($why);
        if ($this->connection->answering) {
            // A part must not be taken for the whole.
            $this->connection->keep = false;
            return;
        }
        $this->refuse(500, self::FAILED);
    }

    private function function(ServerRequest $request): void
    {
        $response = new Response();
        $context = ['request' => $request, 'response' => $response, 'logger' => $this->logger];
        $result = ($this->code->function)($context);
        if ($result instanceof ResponseInterface) {
            $this->connection->answer($result);
        } elseif ($result instanceof \Traversable) {
            foreach ($result as $chunk) {
                if (!$this->connection->answering) {
                    $this->connection->begin($response);
                }
                $this->connection->chunk((string) $chunk);
            }
            $this->connection->answering ? $this->connection->finish() : $this->connection->answer($response);
        } else {
            $this->connection->answer($response);
        }
    }

    private function script(): void
    {
        $declared = self::declarations();
        http_response_code(200);
        ob_start();
        try {
            Code::include($this->code->file);
        } catch (\Throwable $error) {
            ob_end_clean();
            throw $error;
        }
        // A script that declares something cannot run twice in one process.
        $this->reusable = $declared === self::declarations();
        $this->answerScript();
    }

    private function answerScript(): void
    {
        // Our own catcher of output is the first.
        while (ob_get_level() > 2) {
            ob_end_flush();
        }
        $body = (string) ob_get_clean();
        $this->connection->answer(new Response(http_response_code() ?: 200, ['Content-Type' => 'text/html; charset=UTF-8'], $body));
    }

    private static function declarations(): int
    {
        return count(get_defined_functions(false)['user']) + count(get_declared_classes()) + count(get_declared_interfaces())
            + count(get_declared_traits()) + count(get_defined_constants());
    }

    /** PHP ends this process: the code called exit, or did what cannot be caught. */
    private function ended(): void
    {
        if ($this->connection === null) {
            return;
        }
        $error = error_get_last();
        $fatal = $error !== null && ($error['type'] & (E_ERROR | E_CORE_ERROR | E_COMPILE_ERROR | E_PARSE | E_USER_ERROR));
        $why = $fatal ? "PHP Fatal error: {$error['message']} in {$error['file']}:{$error['line']}" : 'the code called exit';
        $this->reusable = false;
        try {
            if ($this->loading) {
                $this->failedToLoad($why);
            } elseif (!$fatal && $this->code?->function === null) {
                $this->answerScript();
            } else {
                $this->failed($why);
            }
        } catch (Gone) {
            // There is nobody to tell.
        }
        Output::enter('');
        $this->tell($this->connection->keep && !$this->connection->hasMore());
    }
}
