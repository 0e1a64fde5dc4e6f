"""Starts the server of the python environment: warms it up, listens, and ends it on SIGTERM."""

import os
import sys

HOME = os.path.dirname(os.path.abspath(__file__))
# The folder of this file must not be where functions import from; the packages beside it come after the standard library.
sys.path[0] = os.path.join(HOME, "site-packages")
sys.path.append(sys.path.pop(0))
# Code is shown read-only; trying to keep compiled files beside it only costs time.
sys.dont_write_bytecode = True

import gc  # noqa: E402
import importlib.util  # noqa: E402
import signal  # noqa: E402


def sibling(name):
    """A module of this folder, under a name that no module of a function has."""
    spec = importlib.util.spec_from_file_location("fission_" + name, os.path.join(HOME, name + ".py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main():
    logs = sibling("logs")
    sibling("load")
    websocket = sibling("websocket")
    service = sibling("service")
    serve = sibling("serve")

    logs.install()
    service.warm_up(os.path.join(HOME, "warm"))
    application, socket_path = service.Service(), os.environ.get("FISSION_SOCKET")
    server = serve.Server(
        application,
        websocket.WebSockets(application, notify_fetcher=not socket_path),
        socket_path=socket_path,
        port=int(os.environ.get("RUNTIME_PORT") or 8888),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.drain())
    # What is loaded now stays; leaving it out makes every later collection shorter.
    gc.collect()
    gc.freeze()
    server.run()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the function must not keep a drained server alive.
    os._exit(0)


main()
