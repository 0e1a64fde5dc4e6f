"""A function that tries to get out: `/?do=NAME&...` runs one attempt and answers with what came of it, as JSON.

System calls are made by number, so that no library softens them. An attempt that was refused answers with the name of the
error; what should never work answers with what it got.
"""

import array
import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from flask import request

LIBC = ctypes.CDLL(None, use_errno=True)

# Name: number on x86_64, number on aarch64.
CALLS = {
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "kexec_load": (246, 104), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "quotactl": (179, 60), "acct": (163, 89), "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264), "personality": (135, 92), "syslog": (103, 116), "sethostname": (170, 161),
    "setdomainname": (171, 162), "clone": (56, 220), "clone3": (435, 435), "mknodat": (259, 33), "kcmp": (312, 272),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "pidfd_getfd": (438, 438),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "fanotify_init": (300, 262), "vhangup": (153, 58), "lookup_dcookie": (212, 18), "ioctl": (16, 29),
}
COLUMN = 0 if platform.machine() == "x86_64" else 1


def outcome(work):
    """What came of it: the name of an error, or what it gave."""
    try:
        return work()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno)) if error.errno else str(error)


def call(name, *arguments):
    ctypes.set_errno(0)
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments] + [ctypes.c_long(0)] * (6 - len(arguments))
    result = LIBC.syscall(ctypes.c_long(CALLS[name][COLUMN]), *words)
    return errno.errorcode.get(ctypes.get_errno(), "?") if result == -1 else f"done: {result}"


def calls(names):
    """System calls with arguments that mean nothing: refused ones are refused before anyone looks at those."""
    return {name: call(name) for name in names.split(",")}


def read(paths):
    """Files that can be opened, of those named."""
    def one(path):
        if os.path.isdir(path):
            return "a folder: " + ",".join(os.listdir(path))
        with open(path, "rb") as file:
            return "read: " + file.read(80).decode(errors="replace")
    return {path: outcome(lambda: one(path)) for path in paths.split(",")}


def write(paths):
    def one(path):
        with open(path, "w") as file:
            file.write("x")
        return "written"
    return {path: outcome(lambda: one(path)) for path in paths.split(",")}


def search(text):
    """Files anywhere but in the runtime that hold a text."""
    found, own, skip = [], os.path.realpath(__file__), ["/proc", "/sys", "/usr", "/dev", sys.base_prefix]
    for folder, folders, files in os.walk("/"):
        if any(folder == out or folder.startswith(out + "/") for out in skip):
            folders[:] = []
            continue
        for path in (os.path.join(folder, name) for name in files):
            try:
                if os.path.realpath(path) != own and text.encode() in open(path, "rb").read(1 << 20):
                    found.append(path)
            except OSError:
                pass
    return found


def runtime():
    """Where Python is, and what the platform prepared for it."""
    return [sys.base_prefix, sys.base_exec_prefix, sys.executable, *sys.path]


def processes():
    """Every process that can be seen: id and command."""
    seen = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        seen[name] = outcome(lambda: open(f"/proc/{name}/cmdline").read().replace("\0", " "))
    return seen


def look_into(pid):
    """All ways to look into another process."""
    files = ["environ", "mem", "maps", "root/etc/passwd", "cwd", "fd/0", "exe", "ns/mnt"]
    buffer = ctypes.create_string_buffer(16)
    local = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), 16)
    answers = {name: outcome(lambda: str(os.open(f"/proc/{pid}/{name}", os.O_RDONLY))) for name in files}
    answers["attach"] = call("ptrace", 16, int(pid))
    answers["seize"] = call("ptrace", 0x4206, int(pid))
    answers["process_vm_readv"] = call("process_vm_readv", int(pid), ctypes.byref(local), 1, ctypes.byref(local), 1, 0)
    return answers


def signals(pids):
    def one(pid):
        os.kill(pid, signal.SIGKILL)
        return "sent"
    return {pid: outcome(lambda: one(int(pid))) for pid in pids.split(",")}


def namespaces():
    answers = {}
    for name, flag in dict(mnt=0x20000, cgroup=0x2000000, uts=0x4000000, ipc=0x8000000, user=0x10000000,
                           pid=0x20000000, net=0x40000000).items():
        answers["unshare " + name] = call("unshare", flag)
        answers["clone " + name] = call("clone", flag | signal.SIGCHLD)
        answers["setns " + name] = outcome(lambda: call("setns", os.open(f"/proc/self/ns/{name}", os.O_RDONLY), flag))
    answers["clone3"] = call("clone3", ctypes.create_string_buffer(88), 88)
    return answers


def sockets():
    kinds = dict(raw=(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP), raw6=(socket.AF_INET6, socket.SOCK_RAW, 58),
                 packet=(17, socket.SOCK_RAW, 0x300), packet_datagram=(17, socket.SOCK_DGRAM, 0x300),
                 netfilter=(16, socket.SOCK_RAW, 12), audit=(16, socket.SOCK_RAW, 9), uevent=(16, socket.SOCK_RAW, 15),
                 generic=(16, socket.SOCK_RAW, 16), vsock=(40, socket.SOCK_STREAM, 0), alg=(38, socket.SOCK_SEQPACKET, 0),
                 bluetooth=(31, socket.SOCK_RAW, 1), sctp=(socket.AF_INET, socket.SOCK_STREAM, 132),
                 key=(15, socket.SOCK_RAW, 2), xdp=(44, socket.SOCK_RAW, 0))
    return {name: outcome(lambda: str(socket.socket(*kind))) for name, kind in kinds.items()}


def connect(to):
    """`abstract:NAME`, `path:/PATH`, `tcp:HOST:PORT` or `udp:HOST:PORT`; several, by commas."""
    def one(target):
        kind, _, rest = target.partition(":")
        if kind in ("abstract", "path"):
            s, address = socket.socket(socket.AF_UNIX), ("\0" + rest if kind == "abstract" else rest)
        else:
            host, _, port = rest.rpartition(":")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            s, address = socket.socket(family, getattr(socket, dict(tcp="SOCK_STREAM", udp="SOCK_DGRAM")[kind])), (host, int(port))
        with s:
            s.settimeout(0.5)
            if kind == "udp":
                s.sendto(b"x", address)
            else:
                s.connect(address)
        return "reached"
    return {target: outcome(lambda: one(target)) for target in to.split(",")}


def http(to, path, headers=""):
    """A request to a port of the machine: its status."""
    def work():
        host, _, port = to.rpartition(":")
        with socket.create_connection((host, int(port)), 3) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode())
            return s.recv(100).decode(errors="replace").split("\r\n")[0]
    return outcome(work)


def own_loopback():
    """Whether it can speak with itself."""
    def work():
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 1):
            return "reached"
    return outcome(work)


def interfaces():
    return {name: open(f"/proc/net/dev").read().count(name + ":") for _, name in socket.if_nameindex()}


def terminal():
    """Words into a terminal's input, and other drivers for it."""
    answers = {}
    for name, number in dict(TIOCSTI=0x5412, TIOCLINUX=0x541C, TIOCSETD=0x5423, high=0x100005412).items():
        answers[name] = call("ioctl", 0, number, ctypes.create_string_buffer(b"x"))
    return answers


def devices():
    answers = {}
    for name, (kind, number) in dict(memory=(0o20666, 0x101), disk=(0o60666, 0x800), null=(0o20666, 0x103)).items():
        answers["make " + name] = call("mknodat", -100, f"/tmp/{name}".encode(), kind, number)
    for path in ("/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/fuse", "/dev/net/tun", "/dev/kvm", "/dev/port"):
        answers[path] = outcome(lambda: str(os.open(path, os.O_RDWR)))
    return answers


def set_user_id():
    """Programs that would make it root: its own, and those of the system."""
    os.system("cp /bin/sh /tmp/sh; chmod 6755 /tmp/sh")
    own = subprocess.run(["/tmp/sh", "-p", "-c", "id -u"], capture_output=True, text=True).stdout.strip()
    outer = {}
    for path in ("/usr/bin/su", "/usr/bin/sudo", "/usr/bin/mount", "/usr/bin/passwd", "/usr/bin/newgrp"):
        if os.path.exists(path):
            outer[path] = bool(os.statvfs(path).f_flag & os.ST_NOSUID)
    status = dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/self/status"))
    return {"own": own, "uid": str(os.getuid()), "nosuid": outer,
            **{name: status[name] for name in ("NoNewPrivs", "CapEff", "CapPrm", "CapBnd", "CapAmb", "Seccomp")},
            "setuid": outcome(lambda: str(os.setuid(0)))}


def limits():
    return {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name))[1] for name in ("CORE", "NOFILE", "MEMLOCK")}


def core_dump():
    child = subprocess.run(["/bin/sh", "-c", "ulimit -c unlimited; cd /tmp; kill -SEGV $$"], capture_output=True)
    return {"code": child.returncode, "left": [name for name in os.listdir("/tmp") if "core" in name]}


def fork_bomb():
    made = 0
    for _ in range(5000):
        try:
            pid = os.fork()
        except OSError as error:
            return {"made": made, "then": errno.errorcode[error.errno]}
        if pid == 0:
            time.sleep(600)
            os._exit(0)
        made += 1
    return {"made": made, "then": "no end"}


def thread_bomb():
    stop, made = threading.Event(), 0
    threading.stack_size(64 << 10)
    try:
        for _ in range(5000):
            threading.Thread(target=stop.wait, daemon=True).start()
            made += 1
    except RuntimeError as error:
        return {"made": made, "then": str(error)}
    finally:
        stop.set()
    return {"made": made, "then": "no end"}


def descriptor_bomb():
    made = []
    try:
        while len(made) < 2_000_000:
            made.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        return {"made": len(made), "then": errno.errorcode[error.errno]}
    finally:
        for descriptor in made:
            os.close(descriptor)
    return {"made": len(made), "then": "no end"}


def zombie_bomb():
    made = 0
    try:
        for _ in range(5000):
            if os.fork() == 0:
                os._exit(0)
            made += 1
    except OSError as error:
        return {"made": made, "then": errno.errorcode[error.errno]}
    return {"made": made, "then": "no end"}


def memory_bomb():
    hoard = []
    while True:
        hoard.append(b"x" * (16 << 20))


def disk_flood(folder):
    written = 0
    try:
        with open(os.path.join(folder, "flood"), "wb") as file:
            while written < 4 << 30:
                written += file.write(b"x" * (1 << 20))
                file.flush()
        return {"written": written, "then": "no end"}
    except OSError as error:
        return {"written": written, "then": errno.errorcode[error.errno]}
    finally:
        outcome(lambda: os.remove(os.path.join(folder, "flood")))


def read_flood():
    """Reads past the machine's memory for two seconds: how much came, and in what time."""
    # Looking for a larger one would itself be limited.
    with open("/proc/self/maps") as maps:
        files = {path for line in maps if os.path.isfile(path := line.split()[-1])}
    largest = max(files, key=lambda path: os.stat(path).st_size)
    size = os.stat(largest).st_size & ~0xFFFFF
    opened = os.open(largest, os.O_RDONLY | os.O_DIRECT)
    page, came, begin = mmap.mmap(-1, 1 << 20), 0, time.monotonic()
    while time.monotonic() - begin < 2:
        came += os.preadv(opened, [page], came % size)
    return {"read": came, "seconds": time.monotonic() - begin}


def file_flood():
    made = 0
    os.makedirs("/tmp/many", exist_ok=True)
    try:
        while made < 1_000_000:
            os.close(os.open(f"/tmp/many/{made}", os.O_CREAT | os.O_WRONLY))
            made += 1
        return {"made": made, "then": "no end"}
    except OSError as error:
        return {"made": made, "then": errno.errorcode[error.errno]}


def log_flood(lines):
    for number in range(int(lines)):
        print(f"flood {number} " + "x" * 200)
    return "printed"


def out_of_memory_score():
    def work():
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("-1000")
        return "changed"
    return outcome(work)


def links():
    """Hard and symbolic links to what is not its own."""
    answers = {}
    for target in ("/etc/passwd", "/usr/bin/env", __file__):
        answers["hard " + target] = outcome(lambda: str(os.link(target, "/tmp/hard")))
    os.symlink("/proc/1/root/etc/shadow", "/tmp/soft")
    answers["soft"] = outcome(lambda: open("/tmp/soft").read())
    answers["climb"] = outcome(lambda: str(sorted(os.listdir("/../../.."))))
    return answers


def main():
    arguments = request.args.to_dict()
    attempt = globals()[arguments.pop("do")]
    return json.dumps(attempt(**arguments)), 200, {"Content-Type": "application/json"}
