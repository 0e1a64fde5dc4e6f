<?php
// The dispatcher: watches idle connections, hands one on which a request arrives to a free worker, and gets it back. It
// reads nothing of them itself.

namespace Fission;

use Socket;

final class Dispatcher
{
    /** Requests served at the same time; more wait in line. The platform's requestsPerPod decides long before this. */
    private const WORKERS = 32;
    /** Connections kept at the same time; PHP's select knows 1024 files. */
    private const CONNECTIONS = 960;
    private const BACKLOG = 511;
    /** Longest wait in seconds, for signals that arrive just before one begins. */
    private const PATIENCE = 1;

    /** @var array<int, Socket> */
    private array $connections = [];
    /** @var array<int, Socket> those on which no request has begun */
    private array $watched = [];
    /** @var list<int> those with a request that no worker is free for */
    private array $queue = [];
    /** @var array<int, Socket> control sockets, by process */
    private array $workers = [];
    /** @var array<int, int> the connection a process serves */
    private array $busy = [];
    private int $last = 0;
    /** What workers load: path, entry point and variables, once known. */
    private ?array $load = null;
    /** What came of it so far. */
    private string $loading = '';
    private bool $ending = false;

    private function __construct(private ?Socket $listener, private bool $tcp)
    {
    }

    /** Listens on the unix socket FISSION_SOCKET if it is set, else on TCP RUNTIME_PORT. */
    public static function listen(): self
    {
        $path = (string) getenv('FISSION_SOCKET');
        $tcp = $path === '';
        $socket = socket_create($tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
        if ($tcp) {
            socket_set_option($socket, SOL_SOCKET, SO_REUSEADDR, 1);
        }
        $bound = $tcp ? socket_bind($socket, '0.0.0.0', (int) (getenv('RUNTIME_PORT') ?: 8888)) : socket_bind($socket, $path);
        // The folder of the socket decides who may connect; the one who connects may be another user than this one.
        if (!$bound || !($tcp || chmod($path, 0777)) || !socket_listen($socket, self::BACKLOG)) {
            throw new \RuntimeException('cannot listen: ' . socket_strerror(socket_last_error($socket)));
        }
        socket_set_nonblock($socket);
        return new self($socket, $tcp);
    }

    /** Serves until told to end, then until the last request is answered. */
    public function run(): void
    {
        pcntl_async_signals(true);
        foreach ([SIGTERM, SIGINT] as $signal) {
            pcntl_signal($signal, fn () => $this->ending = true);
        }
        // Only to wake up: who ended is asked below.
        pcntl_signal(SIGCHLD, fn () => null);
        $this->spawn();
        while (!$this->ending || $this->busy !== [] || $this->queue !== []) {
            if ($this->ending) {
                $this->stopListening();
            }
            $this->turn();
        }
    }

    private function stopListening(): void
    {
        $this->listener = null;
        foreach (array_keys($this->watched) as $id) {
            unset($this->connections[$id], $this->watched[$id]);
        }
    }

    private function turn(): void
    {
        $readable = [];
        if ($this->listener !== null && count($this->connections) < self::CONNECTIONS) {
            $readable['listener'] = $this->listener;
        }
        foreach ($this->watched as $id => $socket) {
            $readable["c$id"] = $socket;
        }
        foreach ($this->workers as $pid => $socket) {
            $readable["w$pid"] = $socket;
        }
        [$writable, $except] = [null, null];
        if (@socket_select($readable, $writable, $except, self::PATIENCE)) {
            foreach ($readable as $key => $socket) {
                match ($key[0]) {
                    'l' => $this->accept(),
                    'c' => $this->arrived((int) substr($key, 1)),
                    'w' => $this->told((int) substr($key, 1)),
                };
            }
        }
        // A program that a function started may hold a dead worker's socket open.
        while (($pid = pcntl_waitpid(-1, $status, WNOHANG)) > 0) {
            $this->gone($pid);
        }
        while ($this->queue !== [] && $this->hand($this->queue[0])) {
            array_shift($this->queue);
        }
    }

    private function accept(): void
    {
        while (count($this->connections) < self::CONNECTIONS && $socket = @socket_accept($this->listener)) {
            if ($this->tcp) {
                socket_set_option($socket, SOL_TCP, TCP_NODELAY, 1);
            }
            $this->last++;
            $this->connections[$this->last] = $this->watched[$this->last] = $socket;
        }
    }

    private function arrived(int $id): void
    {
        $byte = '';
        $socket = $this->watched[$id];
        unset($this->watched[$id]);
        if (!@socket_recv($socket, $byte, 1, MSG_PEEK | MSG_DONTWAIT)) {
            unset($this->connections[$id]);
        } elseif ($this->queue !== [] || !$this->hand($id)) {
            $this->queue[] = $id;
        }
    }

    /** Gives a connection to a worker; false when none is free. */
    private function hand(int $id): bool
    {
        while (($pid = $this->free()) !== null) {
            // PHP puts the number of a Socket in the wrong place of the message, and that of a stream in the right one.
            $stream = socket_export_stream($this->connections[$id]);
            $message = ['iov' => ['c'], 'control' => [['level' => SOL_SOCKET, 'type' => SCM_RIGHTS, 'data' => [$stream]]]];
            if (@socket_sendmsg($this->workers[$pid], $message, 0)) {
                $this->busy[$pid] = $id;
                return true;
            }
            unset($this->workers[$pid]);
        }
        return false;
    }

    /** A worker that serves nothing, a new one if need be. */
    private function free(): ?int
    {
        foreach ($this->workers as $pid => $_) {
            if (!isset($this->busy[$pid])) {
                return $pid;
            }
        }
        // Before there is a function one worker answers all, so that one alone decides which function it is.
        return count($this->workers) < ($this->load === null ? 1 : self::WORKERS) ? $this->spawn() : null;
    }

    private function spawn(): ?int
    {
        socket_create_pair(AF_UNIX, SOCK_SEQPACKET, 0, $pair);
        $pid = pcntl_fork();
        if ($pid === 0) {
            // Connections and the sockets of other workers are not this one's to hold open.
            [$this->connections, $this->watched, $this->workers, $this->listener] = [[], [], [], null];
            unset($pair[0]);
            pcntl_signal(SIGCHLD, SIG_DFL);
            pcntl_signal(SIGTERM, SIG_IGN);
            pcntl_signal(SIGINT, SIG_IGN);
            (new Worker($pair[1]))->run($this->load);
        }
        if ($pid < 0) {
            fwrite(STDERR, 'php environment: cannot start a worker: ' . pcntl_strerror(pcntl_get_last_error()) . "\n");
            return null;
        }
        $this->workers[$pid] = $pair[0];
        return $pid;
    }

    /** Reads what a worker says. */
    private function told(int $pid): void
    {
        $message = '';
        while (isset($this->workers[$pid])) {
            $length = @socket_recv($this->workers[$pid], $message, 1 << 16, MSG_DONTWAIT);
            if ($length === false) {
                return;
            }
            if ($length === 0) {
                $this->gone($pid);
                return;
            }
            if ($message[0] === Worker::LOADED) {
                $this->loading .= substr($message, 1);
                continue;
            }
            if ($this->loading !== '') {
                [$this->load, $this->loading] = [json_decode($this->loading, true), ''];
            }
            $this->back($pid, $message === Worker::KEEP || $message === Worker::LAST_KEEP);
            if ($message === Worker::LAST_KEEP || $message === Worker::LAST_CLOSE) {
                unset($this->workers[$pid]);
                if ($this->load === null) {
                    $this->spawn();
                }
            }
        }
    }

    /** Takes a connection back from a worker. */
    private function back(int $pid, bool $keep): void
    {
        $id = $this->busy[$pid] ?? null;
        unset($this->busy[$pid]);
        if ($id === null) {
            return;
        }
        if ($keep && !$this->ending) {
            $this->watched[$id] = $this->connections[$id];
        } else {
            unset($this->connections[$id]);
        }
    }

    /** A worker has ended: what it served cannot be answered any more. */
    private function gone(int $pid): void
    {
        if (isset($this->workers[$pid])) {
            // Its last words first.
            $message = '';
            while (@socket_recv($this->workers[$pid], $message, 1 << 16, MSG_DONTWAIT)) {
                if (in_array($message, [Worker::KEEP, Worker::CLOSE, Worker::LAST_KEEP, Worker::LAST_CLOSE], true)) {
                    $this->back($pid, $message === Worker::KEEP || $message === Worker::LAST_KEEP);
                }
            }
            unset($this->workers[$pid]);
        }
        $this->back($pid, false);
        if ($this->workers === [] && $this->load === null && !$this->ending) {
            $this->spawn();
        }
    }
}
