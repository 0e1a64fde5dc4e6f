"""The ASGI application: specializes once, then gives every request to the function."""

import contextlib
import functools
import inspect
import json
import os
import sys
import traceback

import fission_load as loading
import fission_logs as logs
from fastapi import HTTPException, Request, Response, WebSocket, status
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.websockets import WebSocketDisconnect

UNSPECIALIZED = "Generic container: no requests supported"
# Where version 1 of the protocol keeps its code.
V1_CODE_PATH = os.path.join(os.environ.get("USERFUNCVOL") or "/userfunc", "user")
# A parameter of one of these names is a WebSocket even without a type.
WEBSOCKET_NAMES = ("websocket", "ws")


class Function:
    """A loaded function and how it is called."""

    def __init__(self, function):
        self._function = function
        target = function if inspect.isroutine(function) or inspect.isclass(function) else function.__call__
        self._asynchronous = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(target)
        parameters = list(inspect.signature(function).parameters.values())
        self._takes_request = bool(parameters)
        self.for_websockets = bool(parameters) and (
            parameters[0].annotation in (WebSocket, "WebSocket")
            or (parameters[0].annotation is inspect.Parameter.empty and parameters[0].name in WEBSOCKET_NAMES)
        )

    async def __call__(self, connection):
        arguments = (connection,) if self._takes_request else ()
        if self._asynchronous:
            return await self._function(*arguments)
        result = await run_in_threadpool(functools.partial(self._run, arguments))
        return await result if inspect.isawaitable(result) else result

    def _run(self, arguments):
        try:
            return self._function(*arguments)
        finally:
            # What this thread has begun to print.
            _flush()


class Service:
    """One generic container."""

    def __init__(self):
        self._function = None

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            return await self._websocket(WebSocket(scope, receive, send))
        request = Request(scope, receive, send)
        path = scope["path"]
        if path == "/healthz":
            response = PlainTextResponse("")
        elif path in ("/specialize", "/v2/specialize") and scope["method"] == "POST":
            response = await self._specialize(path, request)
        elif self._function is None:
            response = PlainTextResponse(UNSPECIALIZED, 500)
        else:
            _enter(scope)
            try:
                response = await self._call(request)
                await response(scope, receive, send)
            finally:
                _flush()
            return None
        return await response(scope, receive, send)

    async def _call(self, request):
        if self._function.for_websockets:
            return PlainTextResponse("this function takes WebSockets only\n", 400)
        try:
            result = await self._function(request)
            return result if isinstance(result, Response) else JSONResponse(jsonable_encoder(result))
        except AnyHTTPException as error:
            return JSONResponse({"detail": jsonable_encoder(error.detail)}, error.status_code, error.headers)
        except Exception as error:
            _tell(error)
            return PlainTextResponse("Internal Server Error", 500)

    async def _websocket(self, websocket):
        if self._function is None or not self._function.for_websockets:
            return await websocket.close()
        _enter(websocket.scope)
        code = status.WS_1000_NORMAL_CLOSURE
        try:
            await self._function(websocket)
        except (HTTPException, WebSocketDisconnect):
            # The function's refusal, or it was told that the other side is gone.
            pass
        except Exception as error:
            _tell(error)
            code = status.WS_1011_INTERNAL_ERROR
        finally:
            _flush()
        # Unless it is closed already.
        with contextlib.suppress(RuntimeError, OSError):
            await websocket.close(code)

    async def _specialize(self, path, request):
        if self._function is not None:
            return PlainTextResponse("Not a generic container", 400)
        filepath, name = V1_CODE_PATH, "main"
        if path == "/v2/specialize":
            try:
                load = json.loads(await request.body())
                filepath, name = load["filepath"], load.get("functionName") or ""
                loading.set_variables(load.get("env") or {})
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                return PlainTextResponse(f"the specialize request cannot be read: {error!r}", 400)
        # Nothing is awaited from here on, so no other request comes in between.
        if self._function is not None:
            return PlainTextResponse("Not a generic container", 400)
        try:
            self._function = Function(loading.load_function(filepath, name))
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # A module that calls sys.exit is a module that does not load.
            why = loading.explain(error)
            print(why, file=sys.stderr)
            return PlainTextResponse(why, 500)
        return PlainTextResponse("")


def _enter(scope):
    request_id = next((value for key, value in scope["headers"] if key == b"x-fission-request-id"), b"")
    logs.enter({"HTTP_X_FISSION_REQUEST_ID": request_id.decode("latin-1")})


def _flush():
    sys.stdout.flush()
    sys.stderr.flush()


def _tell(error):
    print("".join(traceback.format_exception(type(error), error, error.__traceback__)), file=sys.stderr, end="")


async def warm_up(folder):
    """Goes the whole way once with a function of its own, so that everything it needs is loaded before a user comes."""
    service = Service()
    load = json.dumps({"filepath": os.path.join(folder, "user"), "functionName": ""})
    for method, path, body in [("POST", "/v2/specialize", load), ("GET", "/", ""), ("POST", "/a", '{"a": 1}')]:
        await service(_scope(method, path), _receiver(body.encode()), _ignore)
    await run_in_threadpool(_flush)
    sys.modules.pop("user", None)


def _receiver(body):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _ignore(message):
    pass


def _scope(method, path):
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"a=b",
        "root_path": "",
        "headers": [(b"host", b"warm"), (b"content-type", b"application/json")],
        "client": None,
        "server": ("warm", 80),
    }
