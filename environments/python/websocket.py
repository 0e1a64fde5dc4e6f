"""WebSockets: each is a connection of the server's own loop, which does all waiting for its socket, and one thread, which
runs the function."""

import collections
import collections.abc
import http.client
import os
import queue
import sys
import threading
import time
import traceback

import fission_logs as logs
from websockets.datastructures import Headers
from websockets.frames import OP_BINARY, OP_CONT, OP_TEXT, CloseCode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

# WebSockets open at the same time, each with a thread. The platform's requestsPerPod decides long before this.
OPEN_AT_ONCE = 200
# Bytes of a received message; a larger one ends its connection with 1009. That many may also wait for the function.
MAX_MESSAGE_BYTES = 1024 * 1024
# What a waiting message is taken for beside its bytes.
MESSAGE_COST = 64
# Bytes sent that may wait for a slow client before the function does.
MAX_WAITING_BYTES = 1024 * 1024
# How long a function waits for a client that takes nothing, before that one is given up, in seconds.
SEND_SECONDS = 30
# How long the other side may take to answer a close, in seconds.
CLOSE_SECONDS = 5
# How often a connection is asked whether it still lives, in seconds; one that did not answer the last time is given up.
PING_SECONDS = float(os.environ.get("TIMEOUT") or 60)
# How often the loop looks after times, in seconds.
TEND_SECONDS = 1
READ_BYTES = 64 * 1024
# Where Fission's pods are told that WebSockets opened or all closed, so that they are not reaped.
FETCHER = ("127.0.0.1", 8000)
FETCHER_SECONDS = 5


class Gone(ConnectionError):
    """The WebSocket is closed."""


class WebSocket:
    """What a function talks over. Any thread may use it."""

    def __init__(self, connection, environ):
        self._connection = connection
        self._thread = threading.get_ident()
        self.environ = environ
        self.path = environ["PATH_INFO"]

    @property
    def closed(self):
        """Whether nothing can be sent any more."""
        return not self._connection.open

    def receive(self):
        """The next message, a str or bytes; None when there will be no more."""
        return self._connection.receive(None)

    def receive_nowait(self):
        """The next message if there is one, else None."""
        return self._connection.receive(0)

    def send(self, data):
        """Sends a str as text, bytes as they are. On a closed one: raises in its own function, does nothing in another's,
        so that one who leaves does not end who speaks to all."""
        if not isinstance(data, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"a message is str or bytes, not {type(data).__name__}")
        if not self._connection.send(data) and threading.get_ident() == self._thread:
            raise Gone("the WebSocket is closed")

    def close(self, code=CloseCode.NORMAL_CLOSURE, reason=""):
        """Closes it, and waits until the other side has."""
        self._connection.close(code, reason)

    def __iter__(self):
        return iter(self.receive, None)


class Clients(collections.abc.Set):
    """The open WebSockets; a loop over them goes over those there were when it began."""

    def __init__(self, sockets=()):
        self._sockets = sockets if isinstance(sockets, set) else set(sockets)

    def __contains__(self, socket):
        return socket in self._sockets

    def __iter__(self):
        return iter([socket for socket in tuple(self._sockets) if not socket.closed])

    def __len__(self):
        return len(self._sockets)


class Connection:
    """A socket in the server's loop and the protocol on it. The loop reads; who has something to send tries it first."""

    # The loop asks.
    accepting = False

    def __init__(self, sock, protocol, server, head):
        self._socket, self._number = sock, sock.fileno()
        self._protocol = protocol
        self._map, self._wake = server._map, server.pull_trigger
        self._changed = threading.Condition()
        self._messages = collections.deque()
        self._waiting_bytes = 0
        self._message, self._text = bytearray(), False
        self._outgoing, self._end_after_outgoing = bytearray(head), False
        self._deadline = None
        self._next_ping, self._unanswered = time.monotonic() + PING_SECONDS, False
        self.ended = False
        self._map[self._number] = self

    @property
    def open(self):
        return self._protocol.state is State.OPEN

    # What the function's threads do.

    def receive(self, timeout):
        with self._changed:
            self._changed.wait_for(lambda: self._messages or not self.open, timeout)
            if not self._messages:
                return None
            message = self._messages.popleft()
            full = self._full()
            self._waiting_bytes -= len(message) + MESSAGE_COST
            if full:
                self._wake()
            return message

    def send(self, data):
        """Whether it could be sent; waits while the other side takes nothing."""
        with self._changed:
            if not self.open:
                return False
            if isinstance(data, str):
                self._protocol.send_text(data.encode())
            else:
                self._protocol.send_binary(bytes(data))
            self._write()
            taken = lambda: len(self._outgoing) <= MAX_WAITING_BYTES or not self.open  # noqa: E731
            if not self._changed.wait_for(taken, SEND_SECONDS):
                self.give_up()
            return self.open

    def close(self, code, reason="", wait=True):
        with self._changed:
            if self.open:
                self._protocol.send_close(int(code), reason)
                self._write()
            if wait:
                self._changed.wait_for(lambda: self._protocol.state is State.CLOSED, CLOSE_SECONDS)

    def give_up(self):
        """Ends it without waiting for anything."""
        with self._changed:
            self._deadline = 0.0
            self._protocol.fail(CloseCode.INTERNAL_ERROR)
            self._wake()

    # What both do, with the lock.

    def _full(self):
        return self._waiting_bytes >= MAX_MESSAGE_BYTES

    def _write(self):
        """Sends what there is as far as the socket takes it; the loop does the rest."""
        for data in self._protocol.data_to_send():
            self._outgoing += data
            self._end_after_outgoing |= not data
        if self._deadline is None and self._protocol.close_expected():
            self._deadline = time.monotonic() + CLOSE_SECONDS
        try:
            while self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing)]
            if self._end_after_outgoing:
                self._end_after_outgoing = False
                self._socket.shutdown(1)
        except BlockingIOError:
            self._wake()
        except OSError:
            self._outgoing.clear()
            self._deadline = 0.0
            self._wake()

    # What the loop does, and calls.

    def readable(self):
        # What is read may have to be answered.
        return not self._full() and len(self._outgoing) <= MAX_WAITING_BYTES

    def writable(self):
        return bool(self._outgoing)

    def handle_write_event(self):
        with self._changed:
            self._write()
            self._changed.notify_all()

    def handle_read_event(self):
        if self._read() == 0:
            self._end()

    def handle_expt_event(self):
        pass

    def handle_close(self):
        # The other side is gone; what it said before is still there.
        while self._read():
            pass
        self._end()

    def handle_error(self):
        traceback.print_exc()
        self._end()

    def tend(self, now):
        """Asks whether the other side is still there, and ends what took too long."""
        if self._deadline is not None:
            if now >= self._deadline:
                self._end()
        elif now >= self._next_ping and not self._full():
            self._next_ping = now + PING_SECONDS
            if self._unanswered:
                return self._end()
            self._unanswered = True
            with self._changed:
                if self.open:
                    self._protocol.send_ping(b"")
                    self._write()
        return None

    def _read(self):
        """How many bytes came; 0 at the end, None if there are none now."""
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return 0
        with self._changed:
            self._unanswered = False
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            for frame in self._protocol.events_received():
                self._take(frame)
            self._write()
            self._changed.notify_all()
        return len(data)

    def _take(self, frame):
        if frame.opcode in (OP_TEXT, OP_BINARY):
            self._message, self._text = bytearray(), frame.opcode == OP_TEXT
        elif frame.opcode != OP_CONT:
            return
        # The protocol keeps count of its size.
        self._message += frame.data
        if not frame.fin:
            return
        message, self._message = bytes(self._message), bytearray()
        if self._text:
            try:
                message = message.decode()
            except UnicodeDecodeError as error:
                return self._protocol.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
        self._messages.append(message)
        self._waiting_bytes += len(message) + MESSAGE_COST

    def _end(self):
        if self.ended:
            return
        self.ended = True
        del self._map[self._number]
        with self._changed:
            self._protocol.receive_eof()
            self._outgoing.clear()
            self._socket.close()
            self._changed.notify_all()


def handshake(environ):
    """The answer to a request for a WebSocket: 101, or why it is none."""
    headers = Headers()
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            headers[name[5:].replace("_", "-")] = value
    # As the nodejs environment does: a function knows no names of protocols, so the client's first choice is fine.
    protocol = ServerProtocol(select_subprotocol=lambda _, offered: offered[0] if offered else None)
    return protocol.accept(Request(environ["PATH_INFO"], headers))


class WebSockets:
    """All of a server."""

    def __init__(self, service, notify_fetcher=False):
        self._service = service
        self._lock = threading.Lock()
        self._connections = set()
        self._running = 0
        self._draining = False
        self._next_look = 0.0
        self._sockets = set()
        self._clients = Clients(self._sockets)
        self._events = queue.SimpleQueue() if notify_fetcher else None
        if notify_fetcher:
            threading.Thread(target=self._notify, daemon=True).start()

    def take(self, server, sock, environ):
        """Makes a connection of the loop a WebSocket; false if that cannot be, and then nothing has happened."""
        app = self._service.app
        if app is None or not app.takes_websockets or environ["REQUEST_METHOD"] != "GET":
            return False
        if self._draining or self._running >= OPEN_AT_ONCE:
            return False
        answer = handshake(environ)
        if answer.status_code != 101:
            return False
        protocol = ServerProtocol(state=State.OPEN, max_size=MAX_MESSAGE_BYTES)
        connection = Connection(sock, protocol, server, answer.serialize())
        self._connections.add(connection)
        with self._lock:
            self._running += 1
        try:
            threading.Thread(target=self._run, args=(app, connection, environ), daemon=True).start()
        except RuntimeError as error:
            print(f"python environment: no thread for a WebSocket: {error}", file=sys.stderr)
            with self._lock:
                self._running -= 1
            connection.give_up()
        return True

    def _run(self, app, connection, environ):
        logs.enter(environ)
        socket, code = WebSocket(connection, environ), CloseCode.NORMAL_CLOSURE
        self._count(self._sockets.add, socket, "start")
        try:
            app.serve_websocket(environ, socket, self._clients)
        except Gone:
            pass
        except BaseException:  # One that calls sys.exit ends itself only.
            traceback.print_exc()
            code = CloseCode.INTERNAL_ERROR
        finally:
            connection.close(code)
            self._count(self._sockets.discard, socket, "end")
            sys.stdout.flush()
            sys.stderr.flush()
            with self._lock:
                self._running -= 1

    def _count(self, change, socket, event):
        with self._lock:
            change(socket)
            if self._events is not None and len(self._sockets) == (event == "start"):
                self._events.put(event)

    def _notify(self):
        while True:
            connection = http.client.HTTPConnection(*FETCHER, timeout=FETCHER_SECONDS)
            try:
                connection.request("GET", "/wsevent/" + self._events.get())
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                # There is none, or it does not want to know.
                pass
            finally:
                connection.close()

    @property
    def busy(self):
        """Whether some are open or their functions run."""
        return bool(self._connections or self._running)

    def tend(self):
        """Does what time brings; called by the loop whenever it comes by."""
        now = time.monotonic()
        if not self._connections or now < self._next_look:
            return
        self._next_look = now + TEND_SECONDS
        for connection in tuple(self._connections):
            connection.tend(now)
            if connection.ended:
                self._connections.discard(connection)

    def drain(self):
        """Takes no more and asks all to close."""
        self._draining = True
        for connection in tuple(self._connections):
            connection.close(CloseCode.GOING_AWAY, "shutting down", wait=False)
