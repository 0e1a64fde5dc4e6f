#!/usr/bin/env python3
"""Measures the servers of all environments, as plain processes on a unix socket, and prints the table of README.md.

    cargo test -p fission-environments          # prepares the environments once
    cargo build --release -p fission-environments
    environments/measure.py [--runs 30] [--binary target/release/fission-env-server] [--prepared FOLDER]
"""

import argparse
import asyncio
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
LOAD_SECONDS = 3
CONNECTIONS = 16


def newest(folder, name):
    """The prepared folder of an environment that was made last."""
    found = sorted(folder.glob(f"{name}-*"), key=lambda path: path.stat().st_mtime)
    if not found:
        sys.exit(f"no prepared {name} environment in {folder}; run cargo test -p fission-environments first")
    return found[-1]


def servers(options):
    """Name, command, variables and function of each environment."""
    node, python = newest(options.prepared, "nodejs"), newest(options.prepared, "python")
    # What a version switcher's shim stands for; the shim itself costs a shell.
    executable = subprocess.check_output(["python3", "-c", "import sys; print(sys.executable)"], text=True).strip()
    yield "nodejs", [shutil.which("node"), node / "server.mjs"], {"NODE_PATH": str(node / "node_modules")}, "nodejs/hello.js"
    yield "python", [executable, "-S", "-s", python / "server.py"], {}, "python/hello.py"
    go, php = newest(options.prepared, "go"), newest(options.prepared, "php")
    program = options.prepared / "measured-go-program"
    subprocess.check_call([go / "server", "build", EXAMPLES / "go/hello.go", program])
    yield "go, built", [go / "server"], {}, program
    yield "go, source", [go / "server"], {}, "go/hello.go"
    settings = "disable_functions=error_log display_errors=0 log_errors=0 opcache.enable_cli=1 opcache.memory_consumption=32"
    yield "php", [shutil.which("php"), *[f"-d{s}" for s in settings.split()], php / "server.php"], {}, "php/hello.php"
    yield "perl", [shutil.which("perl"), newest(options.prepared, "perl") / "server.pl"], {}, "perl/hello.pl"
    yield "jvm, source", ["sh", newest(options.prepared, "jvm") / "start", shutil.which("java")], {}, "jvm/Hello.java"
    yield "binary", [options.binary], {}, "binary/hello.sh"
    rust, rustc = newest(options.prepared, "rust"), subprocess.check_output(["rustc", "--print", "sysroot"], text=True).strip() + "/bin/rustc"
    program = options.prepared / "measured-rust-program"
    subprocess.check_call(["sh", rust / "compile", rustc, EXAMPLES / "rust/hello.rs", program])
    yield "rust, built", [options.binary, "__rust-env"], {}, program
    yield "rust, source", [options.binary, "__rust-env", "sh", rust / "compile", rustc], {}, "rust/hello.rs"
    yield "binary", [options.binary, "__binary-env"], {}, "binary/hello.sh"


async def ask(connection, method, path, body=b""):
    """One request; the status and the milliseconds it took."""
    reader, writer = connection
    started = time.perf_counter()
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: m\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return int(head.split(b" ", 2)[1]), (time.perf_counter() - started) * 1000


async def once(command, variables, function, load):
    """One server from start to end."""
    with tempfile.TemporaryDirectory() as folder:
        socket = os.path.join(folder, "s")
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command], env=os.environ | variables | {"FISSION_SOCKET": socket}, stderr=subprocess.DEVNULL
        )
        while True:
            try:
                connection = await asyncio.open_unix_connection(socket)
                break
            except OSError:
                await asyncio.sleep(0.001)
        await ask(connection, "GET", "/healthz")
        result = {"start": (time.perf_counter() - started) * 1000, "rss": resident(process.pid)}
        await asyncio.sleep(0.2)
        body = json.dumps({"filepath": str(EXAMPLES / function), "functionName": ""}).encode()
        status, result["specialize"] = await ask(connection, "POST", "/v2/specialize", body)
        assert status < 300, status
        # As the platform does: a server may hand its socket over to another process.
        connection = await asyncio.open_unix_connection(socket)
        for name in ("first", "second"):
            status, result[name] = await ask(connection, "GET", "/")
            assert status == 200, status
        if load:
            result["rps"] = await rate(socket)
        process.send_signal(signal.SIGTERM)
        process.wait()
        return result


async def rate(socket):
    """Requests a second over several connections."""
    end = time.perf_counter() + LOAD_SECONDS

    async def client():
        connection, count = await asyncio.open_unix_connection(socket), 0
        while time.perf_counter() < end:
            await ask(connection, "GET", "/")
            count += 1
        return count

    return sum(await asyncio.gather(*[client() for _ in range(CONNECTIONS)])) / LOAD_SECONDS


def resident(pid):
    """Memory of a process in MB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/fission-env-server")
    parser.add_argument("--prepared", type=pathlib.Path, default=pathlib.Path.home() / ".cache/fission-test/environments")
    options = parser.parse_args()
    print(f"n = {options.runs}; milliseconds, p50 (p99); load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| Environment | start to ready | specialize | first request | second | RSS idle MB | requests/s, 16 connections |")
    print("|---|---|---|---|---|---|---|")
    for name, command, variables, function in servers(options):
        runs = [asyncio.run(once(command, variables, function, load=i == options.runs - 1)) for i in range(options.runs)]
        cells = []
        for key in ("start", "specialize", "first", "second"):
            values = sorted(run[key] for run in runs)
            cells.append(f"{values[len(values) // 2]:.1f} ({values[min(len(values) - 1, len(values) * 99 // 100)]:.1f})")
        rss = sorted(run["rss"] for run in runs)[len(runs) // 2]
        print(f"| {name} | {' | '.join(cells)} | {rss:.0f} | {runs[-1]['rps']:,.0f} |", flush=True)


main()
