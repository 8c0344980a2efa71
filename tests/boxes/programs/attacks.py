# ruff: noqa: PTH109, PTH118, PTH208, SIM105
"""What a hostile candidate would try. Each function is one attack; what it returns is handed out as JSON."""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from fedwright_crds.box import Box

libc = ctypes.CDLL(None, use_errno=True)
BOX = Box.here()
HANDED_OUT = object()
"""The attack has put something where the answer should be."""


def main(argv):
    answer = globals()[argv[0]](*argv[1:])
    if answer is not HANDED_OUT:
        BOX.output("result").write_text(json.dumps(answer))
    return 0


def tried(action, *arguments):
    """'ok', or the name of the error."""
    try:
        action(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except BaseException as error:
        return type(error).__name__
    return "ok"


def system_call(number, *arguments):
    values = [ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value) for value in arguments]
    return "ok" if libc.syscall(number, *values) >= 0 else errno.errorcode[ctypes.get_errno()]


# ---- the network -----------------------------------------------------------------------------------------------


def socket_families():
    families = {"inet": 2, "inet6": 10, "netlink": 16, "packet": 17, "vsock": 40, "alg": 38, "bluetooth": 31, "can": 29}
    return {name: tried(socket.socket, family, socket.SOCK_STREAM) for name, family in families.items()}


def talk_to_the_host():
    return [tried(socket.create_connection, (host, 80), 1) for host in ("127.0.0.1", "10.0.0.1", "localhost")]


def resolve_a_name():
    return tried(socket.getaddrinfo, "example.org", 80)


# ---- the host's files and environment --------------------------------------------------------------------------


def walk():
    """Top folders; how many files; files that look like data, and folders named as packages that carry some."""
    data, files = [], 0
    endings = (".csv.gz", ".csv", ".npz", ".parquet", ".arff", ".pkl.gz")
    carriers = {"sklearn", "mlxtend", "seaborn", "flwr_datasets", "datasets"}
    for folder, folders, names in os.walk("/"):
        files += len(names)
        data += [os.path.join(folder, name) for name in names if name.endswith(endings)]
        data += [os.path.join(folder, name) for name in carriers & set(folders)]
    return {"top": sorted(os.listdir("/")), "data": data, "files": files}


def host_files(*paths):
    well_known = ("/proc", "/etc", "/home", "/root", "/sys", "/tmp", "/usr", "/var", "/run")
    return [path for path in (*well_known, *paths) if os.path.lexists(path)]


def environment():
    return dict(os.environ)


def data_packages():
    outcome = {}
    for name in (
        "sklearn",
        "sklearn.datasets",
        "mlxtend.data",
        "datasets",
        "flwr_datasets",
        "seaborn",
        "torchvision",
        "flwr",
    ):
        try:
            __import__(name)
            outcome[name] = "ok"
        except ImportError:
            outcome[name] = "absent"
    return outcome


def own_packages():
    return sorted(name for name in os.listdir("/opt/fedwright"))


def inherited_descriptors():
    kinds = {}
    for number in range(4096):
        try:
            kinds[number] = oct(os.fstat(number).st_mode)[:-4]
        except OSError:
            pass
    return kinds


def procfs():
    made = tried(os.mkdir, "/box/scratch/proc")
    return [Path("/proc/self/mem").exists(), made, system_call(165, b"proc", b"/box/scratch/proc", b"proc", 0, 0)]


def hidden_proc_descriptor():
    """Whether any open descriptor leads to a /proc."""
    return [number for number in range(4096) if tried(os.stat, f"/dev/fd/{number}/self") == "ok" or _is_folder(number)]


def _is_folder(number):
    try:
        return os.fstat(number).st_mode & 0o170000 == 0o040000
    except OSError:
        return False


# ---- powers ----------------------------------------------------------------------------------------------------

CALLS = {
    "ptrace": (101, 16, 2, 0, 0), "traceme": (101, 0, 0, 0, 0), "process_vm_readv": (310, 2, 0, 0, 0, 0, 0),
    "process_vm_writev": (311, 2, 0, 0, 0, 0, 0), "unshare user": (272, 0x10000000), "unshare mount": (272, 0x20000),
    "clone new user": (56, 0x10000011, 0, 0, 0, 0), "clone3": (435, 0, 0), "setns": (308, 0, 0),
    "mount": (165, b"tmpfs", b"/opt", b"tmpfs", 0, 0), "umount": (166, b"/dev/shm", 2), "pivot_root": (155, b".", b"."),
    "chroot": (161, b"."), "mount_setattr": (442, -100, b"/", 0, 0, 0), "open_tree": (428, -100, b"/", 1),
    "fsopen": (430, b"tmpfs", 0), "open_by_handle_at": (304, 0, 0, 0), "io_uring_setup": (425, 4, 0), "bpf": (321, 0, 0, 0),
    "perf_event_open": (298, 0, 0, 0, 0, 0), "userfaultfd": (323, 0), "keyctl": (250, 0, 0, 0), "add_key": (248, 0, 0, 0, 0, 0),
    "shmget": (29, 1, 4096, 0o1600), "semget": (64, 1, 1, 0o1600), "msgget": (68, 1, 0o1600), "mq_open": (240, b"q", 66, 0o600, 0),
    "mknod": (133, b"x", 0o10666, 0), "personality": (135, 0xFFFFFFFF), "pidfd_getfd": (438, 0, 0, 0), "memfd_create": (319, b"x", 0),
    "memfd_secret": (447, 0), "reboot": (169, 0, 0, 0, 0), "setuid": (105, 0), "setgid": (106, 0), "sethostname": (170, b"x", 1),
    "syslog": (103, 3, 0, 0), "kexec_load": (246, 0, 0, 0, 0), "init_module": (175, 0, 0, b""), "fanotify_init": (300, 0, 0),
    "modify_ldt": (154, 0, 0, 0), "quotactl": (179, 0, 0, 0, 0), "swapon": (167, b"x", 0), "settimeofday": (164, 0, 0),
    "vmsplice": (278, 1, 0, 0, 0), "flock": (73, 0, 2), "inotify_init": (253,), "inotify_init1": (294, 0), "io_setup": (206, 1, 0),
    "sync": (162,), "syncfs": (306, 1), "kcmp": (312, 1, 1, 0, 0, 0), "process_madvise": (440, 0, 0, 0, 0, 0), "acct": (163, 0),
    "iopl": (172, 3), "statmount": (457, 0, 0, 0, 0), "open_tree_attr": (467, -100, b"/", 1, 0, 0), "unshare time": (272, 0x80),
    "pidfd_open": (434, 2, 0), "x32's getpid": (0x40000027,), "of a later kernel": (468,), "mlockall": (151, 1), "vhangup": (153,),
    "nice": (141, 0, 0, -20), "real time": (144, 0, 1, struct.pack("i", 1)), "I/O real time": (251, 1, 0, 1 << 13),
    "clock_settime": (227, 0, bytes(16)), "mount by descriptor": (429, 0, b"", 0, b"/box", 4), "fspick": (433, -100, b"/", 0),
    "setdomainname": (171, b"x", 1), "sethostname again": (170, b"host", 4), "swapoff": (168, b"x"), "delete_module": (176, b"x", 0),
}  # fmt: skip


def system_calls():
    return {name: system_call(*call) for name, call in CALLS.items()}


def the_32_bit_door():
    """`int 0x80`, where numbers mean other calls: how a child ends that calls getpid so."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    if (child := os.fork()) == 0:
        os._exit(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))() & 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def shared_file_state():
    """What a file that all boxes and the host see could carry between them: locks, leases, watches."""
    with Path("/opt/python/bin/python").open("rb") as file:
        commands = {
            "lock": fcntl.F_SETLK,
            "waiting lock": fcntl.F_SETLKW,
            "open file lock": 37,
            "lease": fcntl.F_SETLEASE,
        }
        read_lock = struct.pack("hhqqi", fcntl.F_RDLCK, 0, 0, 0, 0)
        found = {name: tried(fcntl.fcntl, file, command, read_lock) for name, command in commands.items()}
        found["lease"] = tried(fcntl.fcntl, file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        folder = os.open("/opt", os.O_RDONLY)
        found["watch"] = tried(fcntl.fcntl, folder, fcntl.F_NOTIFY, fcntl.DN_ACCESS)
        return found | {"plain command": tried(fcntl.fcntl, file, fcntl.F_GETFL)}


def lower_everyones_priority():
    """Of all processes of this user: those outside have the same user where a plain user runs the boxes."""
    everyone = [tried(os.setpriority, os.PRIO_USER, user, 19) for user in (0, os.getuid())]
    groups = [tried(os.killpg, group, signal.SIGKILL) for group in range(2, 2000)]
    return [*everyone, system_call(251, 3, os.getuid(), 3 << 13), *set(groups)]


def powers():
    header, data = (ctypes.c_uint * 2)(0x20080522, 0), (ctypes.c_uint * 6)()
    libc.capget(header, data)
    return {
        "capabilities": list(data),
        "no new privileges": libc.prctl(39, 0, 0, 0, 0),
        "seccomp": libc.prctl(21, 0, 0, 0, 0),
        "users": os.getresuid(),
        "groups": os.getgroups(),
    }


def raise_limits():
    names = ("RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_CPU", "RLIMIT_CORE")
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    return {name: tried(resource.setrlimit, getattr(resource, name), unlimited) for name in names}


def kill_everyone(*processes):
    """Signals to the parent, to all, and to whatever has a number that could be the zygote's."""
    outcome = [tried(os.kill, int(process), signal.SIGKILL) for process in processes]
    hit = [process for process in range(2, 40_000) if tried(os.kill, process, 0) == "ok"]
    return {
        "named": outcome,
        "hit": hit,
        "all": tried(os.kill, -1, signal.SIGKILL),
        "me": os.getpid(),
        "parent": os.getppid(),
    }


def writable_places():
    found = []
    for folder, _, names in os.walk("/"):
        for path in [folder, *(os.path.join(folder, name) for name in names[:20])]:
            if not path.startswith(("/box", "/dev/")) and os.access(path, os.W_OK):
                found.append(path)
    import numpy

    return {
        "found": found,
        "python": tried(open, os.__file__, "a"),
        "numpy": tried(open, numpy.__file__, "a"),
        "interpreter": tried(os.remove, sys.executable),
        "root": tried(os.mkdir, "/new"),
        "own": tried(open, "/opt/fedwright/evil.py", "w"),
        "chmod": tried(os.chmod, "/", 0o777),
        "/dev": tried(open, "/dev/new", "w"),
    }


def setuid_files():
    return [os.path.join(folder, name) for folder, _, names in os.walk("/") for name in names
            if os.lstat(os.path.join(folder, name)).st_mode & 0o6000]  # fmt: skip


def run_a_shell():
    return [tried(subprocess.run, command) for command in (["/bin/sh", "-c", "true"], ["su"], ["mount"])]


# ---- exhaustion ------------------------------------------------------------------------------------------------


def fork_bomb():
    count = 0
    try:
        while True:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            count += 1
    except OSError as error:
        return {"count": count, "error": errno.errorcode[error.errno]}


def wild_fork_bomb():
    while True:
        tried(os.fork)


def thread_bomb():
    count = 0
    try:
        while True:
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
            count += 1
    except RuntimeError:
        return {"count": count}


def memory_bomb():
    kept = []
    while True:
        kept.append(bytearray(os.urandom(1 << 16) * 256))


def memory_of_a_tree():
    for _ in range(6):
        if os.fork() == 0:
            kept = bytearray(os.urandom(1 << 16) * 1280)
            time.sleep(60)
            os._exit(len(kept) & 1)
    time.sleep(5)
    return "all is well"


def _hoard(mib):
    kept = []
    for _ in range(mib // 16):
        kept.append(bytearray(os.urandom(1 << 16) * 256))
        time.sleep(0.005)
    time.sleep(3)
    os._exit(len(kept) & 1)


def memory_without_a_first_thread():
    """The child's first thread ends, and with it what /proc shows of the process by default."""
    if os.fork() == 0:
        threading.Thread(target=_hoard, args=(480,)).start()
        libc.syscall(60, 0)
    time.sleep(4)
    return "all is well"


def memory_that_is_not_dumpable():
    libc.prctl(4, 0, 0, 0, 0)
    if os.fork() == 0:
        _hoard(480)
    time.sleep(4)
    return "all is well"


def memory_handed_from_fork_to_fork():
    """No process that holds it lives for long, and each holds more than the last."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    if os.fork() == 0:
        kept, end = [], time.monotonic() + 4
        while time.monotonic() < end:
            if len(kept) < 50:
                kept.append(bytearray(os.urandom(1 << 16) * 128))
            if os.fork():
                os._exit(0)
        os._exit(0)
    time.sleep(5)
    return "all is well"


def memory_in_page_tables():
    """One byte of each 2 MiB is read: no page of its own, but a table for each."""
    libc.mmap.restype = ctypes.c_void_p
    size = 400 << 30
    start = libc.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ, 0x4022, -1, ctypes.c_long(0))
    libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), 15)
    for offset in range(0, size, 2 << 20):
        ctypes.c_char.from_address(start + offset).value  # noqa: B018
    return "all is well"


def memory_in_a_memfd():
    return tried(os.memfd_create, "x")


def memory_in_sockets():
    """Buffers of sockets show in no process."""
    taken, pairs = 0, []
    try:
        while True:
            ours, theirs = socket.socketpair()
            pairs.append((ours, theirs))
            ours.setblocking(False)
            try:
                while True:
                    taken += ours.send(bytes(4096))
            except BlockingIOError:
                continue
    except OSError as error:
        return {"mib": taken >> 20, "error": errno.errorcode[error.errno]}


def fill_the_folders():
    outcome = {}
    for name, folder in (("box", "/box/scratch"), ("shm", "/dev/shm")):
        written = 0
        try:
            with Path(f"{folder}/big").open("wb") as file:
                while True:
                    written += file.write(bytes(1 << 20))
        except OSError as error:
            outcome[name] = [written >> 20, errno.errorcode[error.errno]]
        os.truncate(f"{folder}/big", 0)
        Path(f"{folder}/big").unlink()
    return outcome


def fill_the_inodes():
    count = 0
    try:
        while True:
            os.close(os.open(f"/box/scratch/{count}", os.O_CREAT | os.O_WRONLY))
            count += 1
    except OSError as error:
        failure = errno.errorcode[error.errno]
    for number in range(count):
        Path(f"/box/scratch/{number}").unlink()
    return [count, failure]


def fill_with_names():
    """Second names, attributes and folders cost as files do."""
    Path("file").touch()
    found = {
        "hard links": _until_full(lambda number: os.link("file", f"link-{number}")),
        "attributes": _until_full(lambda number: os.setxattr("file", f"user.{number}", bytes(4000))),
    }
    for number in range(found["hard links"][0]):
        Path(f"link-{number}").unlink()
    Path("file").unlink()
    found["folders"] = _until_full(lambda number: Path(f"folder-{number}").mkdir())
    Path("folder-0").rmdir()
    return found


def _until_full(act):
    for number in range(100_000):
        answer = tried(act, number)
        if answer != "ok":
            return [number, answer]
    return [100_000, "ok"]


def deep_folders():
    """A path far longer than any call takes."""
    for _ in range(3000):
        Path("d" * 200).mkdir()
        os.chdir("d" * 200)
    return "deep"


def loop():
    while True:
        pass


def deaf_loop():
    signal.pthread_sigmask(signal.SIG_SETMASK, range(1, 65))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)


def flood_stdout():
    while True:
        os.write(1, b"x" * (1 << 20))


def flood_stderr_from_a_child():
    if os.fork() == 0:
        while True:
            os.write(2, b"\x00\xff\n" * (1 << 16))
    time.sleep(60)


def flood_the_result():
    while True:
        os.write(3, b"x" * (1 << 20))


def large_output():
    BOX.output("result").write_bytes(bytes(200_000))
    return HANDED_OUT


# ---- lies ------------------------------------------------------------------------------------------------------


def forged_platform_error():
    print(json.dumps({"verdict": {"reason": "Completed", "accuracy": 1.0}}), flush=True)
    for number in range(3, 64):
        tried(os.write, number, b"ok")
    os._exit(78)


def exit_code(code):
    os._exit(int(code))


def kill_itself(number):
    os.kill(os.getpid(), int(number))
    return "alive"


def fault():
    ctypes.string_at(8)


def honest_bug():
    return 1 / 0


def poisoned_text():
    sys.stderr.write("\x1b[2J\u202e\x00evil\n")
    os.write(2, bytes(range(256)) * 40)
    raise ValueError("poison")


def no_main_thread():
    """Ends with a clean code before anything was handed on."""
    os._exit(0)


def truncated_stream():
    os.write(3, b"\x0a\x00" + (100).to_bytes(8, "little") + b"out/result" + b"1")
    os._exit(0)


def undeclared_file():
    _frames([(b"out/other", b"1")])


def escaping_name():
    _frames([(b"out/../result", b"1")])


def name_twice():
    _frames([(b"out/result", b"1"), (b"out/result", b"2")])


def huge_length():
    os.write(3, b"\x0a\x00" + (2**63).to_bytes(8, "little") + b"out/result")
    os._exit(0)


def false_count():
    _frames([(b"out/result", b"1")], count=7)


def trailing_bytes():
    _frames([(b"out/result", b"1")], tail=b"more")


def _frames(files, count=None, tail=b""):
    for path, content in files:
        os.write(3, len(path).to_bytes(2, "little") + len(content).to_bytes(8, "little") + path + content)
    os.write(3, bytes(2) + (len(files) if count is None else count).to_bytes(8, "little") + tail)
    os._exit(0)


def a_child_speaks_too():
    """While the first process has ended well, its child writes on."""
    if os.fork() == 0:
        while True:
            os.write(3, b"late")
    os._exit(0)


# ---- irregular files -------------------------------------------------------------------------------------------


def output_is_a_link():
    Path(BOX.output("result")).symlink_to("/opt/python/bin/python")
    return HANDED_OUT


def output_is_a_link_to_an_input():
    Path(BOX.output("result")).symlink_to("/box/in/secret")
    return HANDED_OUT


def output_is_a_fifo():
    return [tried(os.mkfifo, BOX.output("fifo")), tried(os.mknod, BOX.output("device"))]


def output_is_a_hard_link():
    Path("/box/scratch/other").write_text("x")
    os.link("/box/scratch/other", BOX.output("result"))
    return HANDED_OUT


def output_is_a_folder():
    BOX.output("result").mkdir()
    return HANDED_OUT


def output_is_a_socket():
    socket.socket(socket.AF_UNIX).bind(str(BOX.output("result")))
    return HANDED_OUT


def output_is_sparse():
    def terabyte():
        with BOX.output("result").open("wb") as file:
            file.truncate(1 << 40)

    answer = tried(terabyte)
    with BOX.output("result").open("wb") as file:
        file.truncate(32 << 20)
    return HANDED_OUT if answer == "EFBIG" else answer


def output_with_an_odd_name():
    (BOX.root / "out" / "a\nb").write_text("x")
    return HANDED_OUT


def output_folder_is_a_link():
    (BOX.root / "out").rmdir()
    Path(BOX.root / "out").symlink_to("/opt/fedwright")
    return HANDED_OUT


# ---- what is left for the next ---------------------------------------------------------------------------------


def poison():
    """Change all that the next cell might share."""
    import numpy as np

    np.sum = lambda *_, **__: 666
    sys.modules["evil"] = np
    sys.path.insert(0, "/box/scratch")
    os.environ["EVIL"] = "1"
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for folder in ("/box/scratch", "/dev/shm"):
        for name in ("numpy.py", "sitecustomize.py", "usercustomize.py", "evil.pth"):
            Path(folder, name).write_text("raise SystemExit('planted')")
    for _ in range(4):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    ctypes.memset(id(np.pi), 65, 24)
    os.umask(0o777)
    return HANDED_OUT


def innocent():
    """The state that a fresh cell starts with."""
    import numpy as np

    return {
        "sum": float(np.sum(np.ones(3))),
        "random": np.random.rand(),
        "modules": "evil" in sys.modules,
        "path": sys.path,
        "environment": sorted(os.environ),
        "umask": os.umask(0),
        "handler": str(signal.getsignal(signal.SIGTERM)),
        "files": os.listdir("/box/scratch") + os.listdir("/dev/shm"),
        "threads": threading.active_count(),
        "cwd": os.getcwd(),
    }


def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    time.sleep(0.1)
    return "left"


def threads_left():
    for _ in range(8):
        threading.Thread(target=loop).start()
    return "left"


def exit_hooks():
    import atexit

    atexit.register(lambda: os.write(1, b"hook"))
    return "done"


def listen_on_an_abstract_socket():
    with socket.socket(socket.AF_UNIX) as meeting:
        meeting.bind("\0meeting")
        meeting.listen()
        meeting.settimeout(1.5)
        return tried(meeting.accept)


def call_an_abstract_socket():
    time.sleep(0.5)
    with socket.socket(socket.AF_UNIX) as meeting:
        return tried(meeting.connect, "\0meeting")


def outlive():
    """Takes off what ends it with its parent, leaves its session, and waits."""
    libc.prctl(1, 0, 0, 0, 0)
    if os.fork() == 0:
        libc.prctl(1, 0, 0, 0, 0)
        os.setsid()
        os.fork()
    time.sleep(60)


def hold_a_secret():
    secret = BOX.input("secret").read_bytes()
    for folder in ("/box/scratch", "/dev/shm"):
        Path(folder, "secret").write_bytes(secret)
    time.sleep(1)
    return len(secret)


def search(hidden):
    """Look for another's secret while it is held, wherever files can be read."""
    time.sleep(0.4)
    places = ("/box", "/dev/shm", "/opt/code", "/tmp", "/proc")
    names = [os.path.join(folder, name) for place in places for folder, _, files in os.walk(place) for name in files]
    return [name for name in names if name.endswith("secret") or hidden.encode() in Path(name).read_bytes()]


def leave_a_secret():
    ctypes.create_string_buffer(BOX.input("secret").read_bytes() * 50)
    return "done"
