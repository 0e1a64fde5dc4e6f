"""Waitress, told to send every chunk at once, to let WebSockets be, and to finish what it has when it ends."""

import logging

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import create_server
from waitress.task import WSGITask

# Requests served at the same time; more wait in line. The platform's requestsPerPod decides long before this.
THREADS = 32
# Connections kept at the same time.
CONNECTIONS = 1000
# Bytes of request headers.
MAX_HEADER_BYTES = 1024 * 1024
# Bytes of a request body; those above 512 KiB wait in a temporary file.
MAX_BODY_BYTES = 4 * 1024 * 1024 * 1024
# Bytes of a response that may wait for a slow client before the function does.
MAX_WAITING_BYTES = 1024 * 1024
# Idle connections are closed by the one who opened them, never from this side: no request can meet a closing connection.
IDLE_SECONDS = 10 * 365 * 24 * 3600
# How often a draining server looks whether it is done, in seconds.
DRAIN_POLL_SECONDS = 0.02


class Task(WSGITask):
    """Sends the head together with the first chunk."""

    def write(self, data):
        if not self.wrote_header and data:
            self.channel.hold = True
            try:
                # Writes the head only.
                super().write(b"")
            finally:
                self.channel.hold = False
        super().write(data)


class Parser(HTTPRequestParser):
    """A request as it comes in."""

    def received(self, data):
        used = super().received(data)
        # More behind it would be frames that nobody has asked for yet, or the next of several requests.
        if self.completed and "UPGRADE" in self.headers and used == len(data) and not self.error:
            self.empty = self.channel.upgrade(self)
        return used


class Channel(HTTPChannel):
    """A connection."""

    task_class = Task
    # While set, written bytes wait for the next write.
    hold = False

    def parser_class(self, adj):
        parser = Parser(adj)
        parser.channel = self
        return parser

    def upgrade(self, request):
        """Gives the socket away if it becomes a WebSocket, and says whether. Runs in the loop."""
        if request.headers["UPGRADE"].lower() != "websocket" or self.requests or self.total_outbufs_len:
            return False
        server, sock, number = self.server, self.socket, self._fileno
        environ = self.task_class(self, request).get_environment()
        if not server.websockets.take(server, sock, environ):
            return False
        # It is another's in the loop's map already.
        server.active_channels.pop(number, None)
        self.socket, self._fileno, self.connected = None, None, False
        return True

    def write_soon(self, data):
        written = super().write_soon(data)
        if data and not self.hold and self.total_outbufs_len:
            with self.outbuf_lock:
                _, broken = self._flush_exception(self._flush_some, do_close=False)
            if broken or self.total_outbufs_len:
                self.server.pull_trigger()
        return written


class Server:
    """A listening server and how to end it."""

    def __init__(self, application, websockets, socket_path=None, port=8888):
        # Says how many requests wait at every request; the platform knows.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        where = (
            # The folder of the socket decides who may connect; the one who connects may be another user than this one.
            {"unix_socket": socket_path, "unix_socket_perms": "777"}
            if socket_path
            else {"listen": f"0.0.0.0:{port}"}
        )
        self.server = create_server(
            application,
            **where,
            threads=THREADS,
            backlog=1024,
            connection_limit=CONNECTIONS,
            channel_timeout=IDLE_SECONDS,
            max_request_header_size=MAX_HEADER_BYTES,
            max_request_body_size=MAX_BODY_BYTES,
            outbuf_high_watermark=MAX_WAITING_BYTES,
            clear_untrusted_proxy_headers=False,
            log_socket_errors=False,
            asyncore_use_poll=True,
            ident=None,
        )
        self.server.channel_class = Channel
        self.server.websockets = self.websockets = websockets
        self.draining = False

    def drain(self):
        """Stops accepting; `run` returns when nothing is in flight. May be called from a signal handler."""
        self.draining = True
        self.server.pull_trigger()

    def run(self):
        """Serves until drained."""
        server = self.server
        while not self.draining:
            wasyncore.loop(timeout=1 if self.websockets.busy else 30, use_poll=True, map=server._map, count=1)
            self.websockets.tend()
        server.accepting = False
        server.del_channel(server._map)
        server.socket.close()
        self.websockets.drain()
        channels = server.active_channels
        while self.websockets.busy or any(one.requests or one.total_outbufs_len for one in list(channels.values())):
            wasyncore.loop(timeout=DRAIN_POLL_SECONDS, use_poll=True, map=server._map, count=1)
            self.websockets.tend()
