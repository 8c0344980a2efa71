"""What a hostile candidate would try in a pod, where it shares a user, a PID namespace and folders with its launcher."""

import ctypes
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import attacks
from attacks import BOX, HANDED_OUT, system_call, tried

libc = ctypes.CDLL(None, use_errno=True)
LAUNCHER, ZYGOTE = 1, os.getppid()


def main(argv):
    act = globals().get(argv[0]) or getattr(attacks, argv[0])
    answer = act(*argv[1:])
    if answer is not HANDED_OUT:
        BOX.output("result").write_text(json.dumps(answer))
    return 0


# ---- reading ---------------------------------------------------------------------------------------------------


def read_everything():
    """Files and folders that are there and are none of a cell's business."""
    owners = (LAUNCHER, os.getppid(), "self", "thread-self")
    files = "/fedwright/work/work.json /fedwright/in/secret/000 /dev/termination-log /etc/passwd /etc/hostname".split()
    files += "/proc/cpuinfo /proc/self/environ /proc/self/mem /proc/net/tcp /sys/fs/cgroup/memory.max /dev/kmsg".split()
    files += [f"/proc/{one}/{name}" for one in owners for name in "environ mem maps status cmdline cgroup".split()]
    files += [f"/proc/{one}/exe" for one in owners[:2]]
    folders = "/ /fedwright /fedwright/in /fedwright/out /box /proc /dev /dev/shm /dev/fd /sys /etc /usr /tmp".split()
    folders += [f"/proc/{one}/{name}" for one in owners for name in "fd root task map_files".split()]
    folders += [*(f"/proc/{one}/cwd" for one in owners[:2]), "/work", "/root", str(BOX.root.parent)]
    return {path: tried(_read, path) for path in files} | {path: tried(os.listdir, path) for path in folders}


def _read(path):
    with Path(path).open("rb", 0) as file:
        file.read(1)


def follow_links():
    """A link of its own into what it may not read."""
    found = {}
    for number, target in enumerate(
        ("/fedwright/work/work.json", "/proc/1/root/etc/passwd", "/box", "/proc/self/fd/0")
    ):
        Path(f"link-{number}").symlink_to(target)
        found[target] = tried(_read, f"link-{number}") if number != 2 else tried(os.listdir, f"link-{number}")
    found["hard link"] = tried(os.link, "/fedwright/work/work.json", "stolen")
    found["renamed"] = tried(os.rename, "/fedwright/out", "taken")
    return found


def environment_of_the_container():
    return dict(os.environ)


def import_what_is_not_allowed():
    found = {}
    for name in ("sklearn", "flwr", "mlxtend.data", "datasets"):
        try:
            __import__(name)
            found[name] = "ok"
        except (ImportError, PermissionError):
            found[name] = "closed"
    return found


# ---- writing ---------------------------------------------------------------------------------------------------


def write_everywhere():
    places = [
        "/fedwright/out",
        "/fedwright/in",
        "/box",
        "/dev/shm",
        "/dev",
        "/tmp",
        "/",
        "/proc/1",
        str(Path(os.__file__).parent),
    ]
    found = {place: tried(_create, f"{place}/planted") for place in places}
    for file in (
        "/dev/termination-log",
        "/proc/1/oom_score_adj",
        "/proc/self/oom_score_adj",
        "/proc/self/mem",
        "/dev/tty",
        os.__file__,
    ):
        found[file] = tried(_append, file)
    for act in (os.remove, lambda path: os.truncate(path, 0), lambda path: Path(path).rename("log")):
        found[f"{act} of the log"] = tried(act, "/dev/termination-log")
    return found


def _create(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def _append(path):
    with Path(path).open("ab", 0) as file:
        file.write(b"forged")


# ---- other processes -------------------------------------------------------------------------------------------


def touch_processes(*others):
    """Signals, traces, limits and priorities of the launcher, the zygote and whoever else is named."""
    found = {}
    for process in (LAUNCHER, ZYGOTE, *map(int, others)):
        for number in (0, signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
            found[f"signal {number} to {process}"] = tried(os.kill, process, number)
        found |= {f"{name} of {process}": answer for name, answer in _meddle(process).items()}
    tried(os.kill, -1, signal.SIGKILL)  # says nothing of whether anyone was hit
    found["priority of the user"] = tried(os.setpriority, os.PRIO_USER, os.getuid(), 19)
    return found


def _meddle(process):
    limit = struct.pack("QQ", 0, 0)
    buffer = ctypes.create_string_buffer(16)
    vector = struct.pack("QQ", ctypes.addressof(buffer), 16)
    return {
        "attach": system_call(101, 16, process, 0, 0),
        "seize": system_call(101, 0x4206, process, 0, 0),
        "read": system_call(310, process, vector, 1, vector, 1, 0),
        "limits": system_call(302, process, resource.RLIMIT_CPU, limit, 0),
        "priority": tried(os.setpriority, os.PRIO_PROCESS, process, 19),
        "processors": system_call(203, process, 8, struct.pack("Q", 1)),
        "scheduler": system_call(144, process, 5, struct.pack("i", 0)),
        "disk priority": system_call(251, 1, process, 3 << 13),
        "descriptors": _steal_descriptor(process),
    }


def _steal_descriptor(process):
    handle = libc.syscall(434, process, 0)
    return "ESRCH" if handle < 0 else system_call(438, handle, 0, 0)


def own_limits():
    """What an honest program asks of itself still works."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [
        tried(resource.setrlimit, resource.RLIMIT_NOFILE, (soft - 1, hard)),
        _pair(),
        tried(subprocess.run, [sys.executable, "-c", ""]),
    ]


def _pair():
    ours, theirs = socket.socketpair()
    ours.sendall(b"through")
    return theirs.recv(7).decode()


def kill_the_zygote(number):
    """Only where the kernel's Landlock does not know signals yet. Then hands out a fine result and ends well."""
    libc.prctl(1, 0, 0, 0, 0)
    answer = tried(os.kill, ZYGOTE, int(number))
    time.sleep(0.2)
    return answer


def kill_the_launcher(number):
    answer = tried(os.kill, LAUNCHER, int(number))
    time.sleep(1.5)
    return answer


# ---- channels --------------------------------------------------------------------------------------------------


def sockets():
    ours, _ = socket.socketpair()
    mailbox, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    families = {"unix": socket.AF_UNIX, "inet": 2, "inet6": 10, "netlink": 16, "packet": 17, "vsock": 40, "alg": 38}
    found = {name: tried(socket.socket, family, socket.SOCK_STREAM) for name, family in families.items()}
    found["bind a pair"] = tried(mailbox.bind, str(BOX.scratch / "mailbox"))
    found["abstract"] = tried(ours.bind, "\0meeting")
    found["connect a pair"] = tried(mailbox.connect, str(BOX.scratch / "mailbox"))
    found["pair of inet"] = tried(socket.socketpair, 2, socket.SOCK_STREAM)
    found["note on a file"] = tried(os.setxattr, BOX.scratch, "user.note", b"x")
    return found


# ---- what is left behind ---------------------------------------------------------------------------------------


def daemon_that_writes_on():
    """Leaves processes that would fill the result, the text and the box for ever, and ends well."""
    BOX.output("result").write_text('"left"')
    for _ in range(4):
        if os.fork() == 0:
            libc.prctl(1, 0, 0, 0, 0)
            libc.prctl(36, 0, 0, 0, 0)
            os.setsid()
            if os.fork():
                os._exit(0)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            while True:
                tried(os.fork)
                Path(BOX.scratch, str(os.getpid())).touch()
    time.sleep(0.3)
    return HANDED_OUT


def orphans_with_memory():
    """Gives up its orphans on purpose, so that what they hold is nobody's."""
    libc.prctl(36, 0, 0, 0, 0)
    for _ in range(3):
        if os.fork() == 0:
            if os.fork():
                os._exit(0)
            kept = bytearray(os.urandom(1 << 16) * 1000)
            time.sleep(30)
            os._exit(len(kept) & 1)
    os.wait(), os.wait(), os.wait()
    time.sleep(1.0)
    return "left"


def an_unreadable_program():
    """A program that may not be read shows nothing of its memory; so none may be made."""
    copy = BOX.scratch / "program"
    copy.write_bytes(Path(os.path.realpath(sys.executable)).read_bytes())
    copy.chmod(0o111)
    return tried(os.execv, copy, ["program", "-c", ""])


def deep_folders():
    for _ in range(1500):
        Path("d" * 200).mkdir()
        os.chdir("d" * 200)
    Path().chmod(0)
    return "deep"


def output_is_a_hard_link():
    Path(BOX.scratch, "other").write_text('"x"')
    os.link(BOX.scratch / "other", BOX.output("result"))
    return HANDED_OUT


def output_is_a_link_to_the_work():
    BOX.output("result").symlink_to("/fedwright/work/work.json")
    return HANDED_OUT


def a_child_is_killed_for_memory():
    """The first process ends well while its child takes more than the container has."""
    if os.fork() == 0:
        kept = []
        while True:
            kept.append(bytearray(os.urandom(1 << 16) * 256))
    os.wait()
    return "all is well"
