"""Starts the server of the python-fastapi environment: warms it up, listens, and ends it on SIGTERM."""

import os
import sys

HOME = os.path.dirname(os.path.abspath(__file__))
# The folder of this file must not be where functions import from; the packages beside it come after the standard library.
sys.path[0] = os.path.join(HOME, "site-packages")
sys.path.append(sys.path.pop(0))
# Code is shown read-only; trying to keep compiled files beside it only costs time.
sys.dont_write_bytecode = True

import asyncio  # noqa: E402
import contextlib  # noqa: E402
import gc  # noqa: E402
import importlib.util  # noqa: E402
import signal  # noqa: E402

# Idle connections are closed by the one who opened them, never from this side: no request can meet a closing connection.
IDLE_SECONDS = 10 * 365 * 24 * 3600
# Bytes of a WebSocket's message; a larger one ends its connection with 1009.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
# Connections that may wait to be accepted.
BACKLOG = 1024


def sibling(name):
    """A module of this folder, under a name that no module of a function has."""
    spec = importlib.util.spec_from_file_location("fission_" + name, os.path.join(HOME, name + ".py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def serve(uvicorn, application):
    """Serves until asked to end, then until nothing is in flight."""
    config = uvicorn.Config(
        application,
        uds=os.environ.get("FISSION_SOCKET") or None,
        host="0.0.0.0",
        port=int(os.environ.get("RUNTIME_PORT") or 8888),
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        # As in the other environments. Also: with it a message one byte too long came shortened.
        ws_per_message_deflate=False,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_SECONDS,
    )
    server = uvicorn.Server(config)
    # By itself it would end by the signal again after it has drained, and not with 0.
    server.capture_signals = contextlib.nullcontext
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
    await server.serve()


def main():
    logs = sibling("logs")
    sibling("load")
    service = sibling("service")
    import logging

    import uvicorn
    import uvloop

    logs.install()
    # Says when the server starts and each error that the service has told already.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    application = service.Service()
    with contextlib.closing(uvloop.new_event_loop()) as loop:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(service.warm_up(os.path.join(HOME, "warm")))
        # What is loaded now stays; leaving it out makes every later collection shorter.
        gc.collect()
        gc.freeze()
        loop.run_until_complete(serve(uvicorn, application))
        sys.stdout.flush()
        sys.stderr.flush()
        # Threads of the function must not keep a drained server alive.
        os._exit(0)


main()
