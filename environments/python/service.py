"""The WSGI application: specializes once, then gives every request to the function."""

import asyncio
import inspect
import io
import json
import os
import sys
import threading

import fission_load as loading
import fission_logs as logs
import fission_websocket as websocket
from flask import Flask

UNSPECIALIZED = "Generic container: no requests supported"
# Where version 1 of the protocol keeps its code.
V1_CODE_PATH = os.path.join(os.environ.get("USERFUNCVOL") or "/userfunc", "user")


class FunctionApp(Flask):
    """A Flask application whose every path and method is the function."""

    def __init__(self, function):
        super().__init__("function", static_folder=None, template_folder=None)
        self._function = self._run_async(function) if inspect.iscoroutinefunction(function) else function
        self.takes_websockets = _takes(function, None, None)
        self._only_websockets = self.takes_websockets and not _takes(function)

    @staticmethod
    def _run_async(function):
        return lambda *arguments: asyncio.run(function(*arguments))

    def create_url_adapter(self, request):
        """No routes: every path belongs to the function, `//` and all."""
        return None

    def dispatch_request(self):
        """Calls the function."""
        if self._only_websockets:
            return "this function takes WebSockets only\n", 400, {"Content-Type": "text/plain; charset=utf-8"}
        return self._function()

    def serve_websocket(self, environ, socket, clients):
        """Calls the function with an open WebSocket."""
        with self.request_context(environ):
            self._function(socket, clients)


class Service:
    """One generic container."""

    def __init__(self):
        # The function's, when there is one.
        self.app = None
        self._lock = threading.Lock()

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/healthz":
            return _text(start_response, "200 OK", "")
        if path in ("/specialize", "/v2/specialize") and environ["REQUEST_METHOD"] == "POST":
            return self._specialize(path, environ, start_response)
        if self.app is None:
            return _text(start_response, "500 Internal Server Error", UNSPECIALIZED)
        if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
            return self._refuse_websocket(environ, start_response)
        logs.enter(environ)
        try:
            return self.app.wsgi_app(environ, start_response)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    def _refuse_websocket(self, environ, start_response):
        """Why this did not become one; see `WebSockets.take`."""
        if not self.app.takes_websockets:
            why = "this function takes no WebSockets: one that does is main(ws, clients)"
            return _text(start_response, "400 Bad Request", why)
        answer = websocket.handshake(environ)
        if answer.status_code == 101:
            return _text(start_response, "503 Service Unavailable", "there is no room for another WebSocket")
        return _text(start_response, "400 Bad Request", answer.body.decode())

    def _specialize(self, path, environ, start_response):
        with self._lock:
            if self.app is not None:
                return _text(start_response, "400 Bad Request", "Not a generic container")
            filepath, name = V1_CODE_PATH, "main"
            if path == "/v2/specialize":
                try:
                    load = json.load(environ["wsgi.input"])
                    filepath, name = load["filepath"], load.get("functionName") or ""
                    loading.set_variables(load.get("env") or {})
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    return _text(start_response, "400 Bad Request", f"the specialize request cannot be read: {error!r}")
            try:
                self.app = FunctionApp(loading.load_function(filepath, name))
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:  # A module that calls sys.exit is a module that does not load.
                why = loading.explain(error)
                print(why, file=sys.stderr)
                return _text(start_response, "500 Internal Server Error", why)
            return _text(start_response, "200 OK", "")


def _takes(function, *arguments):
    """Whether it can be called so."""
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True


def _text(start_response, status, body):
    data = body.encode("utf-8", "replace")
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(data)))])
    return [data]


def warm_up(folder):
    """Goes the whole way once with a function of its own, so that everything it needs is loaded before a user comes."""
    service = Service()
    requests = [
        ("POST", "/v2/specialize", json.dumps({"filepath": os.path.join(folder, "user"), "functionName": ""})),
        ("GET", "/", ""),
        ("POST", "/a", '{"a": 1}'),
    ]
    for method, path, body in requests:
        answer = service(_environ(method, path, body.encode()), lambda status, headers, exc_info=None: None)
        b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
    sys.modules.pop("user", None)


def _environ(method, path, body):
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "a=b",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": "warm",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "warm",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
