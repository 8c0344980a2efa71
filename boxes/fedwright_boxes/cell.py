"""A cell: what a forked process does to lock itself in, before the first line that is not ours, and how it ends.

Trusted until it says so on the note and closes it; hostile from then on. Nothing that is read from the parcel is
looked at before the walls are up: every cell is a fork of one process, so what one item learns about addresses holds
for the next.
"""

import fcntl
import gc
import importlib
import os
import random
import signal
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from fedwright_boxes import landlock, limits, parcel, stream, syscalls
from fedwright_boxes.limits import INODES, SHARED_MEMORY_BYTES
from fedwright_boxes.protocol import READY, START, Enclosure, Item, Sight

STDIN, STDOUT, STDERR, RESULT, CHANNEL, NOTE, PARCEL, GO, PROC = range(9)
_ABOVE = 64
_CRASHED = 1
_NOBODY = 65534
_SEED = 0
_FIRST_TO_DIE = "1000"
"""When memory runs out in a container, its cells go before those who judge them."""


@dataclass(frozen=True)
class Walls:
    """How this zygote's cells are locked in; the same for all of them."""

    enclosure: Enclosure
    as_root: bool
    network: bool
    hostile: bool
    sight: Sight | None
    """What is read in a container."""
    filter: bytes
    data_bytes: int
    environment: dict[str, str]


def live(item: Item, walls: Walls, given: list[int], proc: int) -> NoReturn:
    """Never returns and runs no exit hook: those of the zygote are not this item's."""
    code = _CRASHED
    try:
        _enter_groups(given[len(given) - item.groups :])
        _take_descriptors(given, proc, item.has_channel)
        program = _lock_in(item, walls)
        os.write(NOTE, READY)
        os.close(NOTE)
        code = _run(program, Path(item.root))
    except BaseException as error:
        _tell_failure(error)
    finally:
        os._exit(code & 0xFF)


def _enter_groups(doors: list[int]) -> None:
    """By itself: moving another process waits for every other one of the machine that forks or ends, ten milliseconds at times."""
    for door in doors:
        os.write(door, b"0")


def _take_descriptors(given: list[int], proc: int, has_channel: bool) -> None:
    """First of all, so that no error path keeps one: afterwards there are these and no others."""
    sources = [os.open("/dev/null", os.O_RDONLY), given[2], given[2], given[1]]
    sources += [given[5] if has_channel else given[1], given[4], given[0], given[3], proc]
    moved = [fcntl.fcntl(source, fcntl.F_DUPFD, _ABOVE) for source in sources]
    for target, source in enumerate(moved):
        os.dup2(source, target, inheritable=target <= STDERR)
    if not has_channel:
        os.close(CHANNEL)
    syscalls.close_from(PROC + 1)


def _lock_in(item: Item, walls: Walls) -> parcel.Program:
    syscalls.die_with_parent()
    _reset_process()
    if walls.enclosure == Enclosure.NAMESPACES:
        _enter_namespaces(item, walls)
    else:
        _leave_the_zygote(walls)
    limits.apply(item.limits, walls.data_bytes, own_user=walls.enclosure != Enclosure.NONE)
    os.close(PROC)
    if os.read(GO, 1) != START:
        raise OSError("the keeper is gone")
    os.close(GO)
    if walls.enclosure == Enclosure.NAMESPACES:
        _drop_powers(item, walls)
    elif walls.enclosure == Enclosure.CONTAINER:
        _shut_in(item, walls)
    program = parcel.unpack(PARCEL, Path(item.root))
    os.chdir(Path(item.root, "scratch"))
    _reset_interpreter(item, walls)
    return program


def _reset_process() -> None:
    ignored = (signal.SIGPIPE, signal.SIGXFSZ)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, 32, 33}:
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)


def _leave_the_zygote(walls: Walls) -> None:
    """A session of its own, in which orphans stay; and its keeper may see how much memory it has."""
    os.setsid()
    syscalls.adopt_orphans()
    syscalls.set_dumpable(True)
    if walls.enclosure == Enclosure.CONTAINER:
        _write_proc("oom_score_adj", _FIRST_TO_DIE)


def _enter_namespaces(item: Item, walls: Walls) -> None:
    namespaces = syscalls.NEWNS | syscalls.NEWIPC | syscalls.NEWUTS | (0 if walls.network else syscalls.NEWNET)
    owner = f",uid={item.user},gid={item.user}"
    if not walls.as_root:
        syscalls.set_dumpable(True)  # or the files below would belong to the host's root
        syscalls.unshare(namespaces | syscalls.NEWUSER)
        for name, text in (("setgroups", "deny"), ("uid_map", _identity()), ("gid_map", _identity())):
            _write_proc(name, text)
        owner = ""
    else:
        syscalls.unshare(namespaces)
    for target, size in ((item.root, item.limits.folder_bytes), ("/dev/shm", SHARED_MEMORY_BYTES)):
        inodes = INODES + item.limits.files
        syscalls.mount_tmpfs(target, f"size={size},nr_inodes={inodes},mode=0700{owner}")


def _identity() -> str:
    return f"{_NOBODY} {_NOBODY} 1"


def _write_proc(name: str, text: str) -> None:
    file = os.open(f"self/{name}", os.O_WRONLY, dir_fd=PROC)
    os.write(file, text.encode())
    os.close(file)


def _drop_powers(item: Item, walls: Walls) -> None:
    """The order matters: identity while it may be changed, the filter last because it forbids the rest."""
    syscalls.drop_bounding_set()
    if walls.as_root:
        os.setgroups([])
        os.setresgid(item.user, item.user, item.user)
        os.setresuid(item.user, item.user, item.user)
    syscalls.drop_capabilities()
    syscalls.forbid_new_privileges()
    landlock.restrict((item.root, "/dev/shm"), ("/dev/null",), walls.network)
    syscalls.set_seccomp_filter(walls.filter)


def _shut_in(item: Item, walls: Walls) -> None:
    """Without any power: what the container's makers gave is dropped, and what they left open is closed."""
    if walls.hostile and (walls.as_root or walls.sight is None or not walls.sight.abi):
        raise OSError("generated code needs a plain user and a kernel with Landlock")
    syscalls.drop_capabilities()
    syscalls.forbid_new_privileges()
    landlock.restrict((item.root,), ("/dev/null",), walls.network, walls.sight)
    syscalls.set_seccomp_filter(walls.filter)


def _reset_interpreter(item: Item, walls: Walls) -> None:
    os.environ.clear()
    os.environ.update(walls.environment, FEDWRIGHT_BOX=item.root, TMPDIR=f"{item.root}/scratch")
    if item.has_channel:
        os.environ["FEDWRIGHT_CHANNEL"] = str(CHANNEL)
    tempfile.tempdir = f"{item.root}/scratch"
    random.seed(_SEED)
    for name, reseed in (("numpy", "random.seed"), ("torch", "manual_seed")):
        if name in sys.modules:
            _attribute(sys.modules[name], reseed)(_SEED)
    sys.stdout = os.fdopen(
        STDOUT, "w", buffering=1, errors="backslashreplace", closefd=False
    )  # by line: a kill loses none
    sys.stderr = os.fdopen(STDERR, "w", buffering=1, errors="backslashreplace", closefd=False)
    gc.enable()


def _attribute(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name)
    return module


def _run(program: parcel.Program, root: Path) -> int:
    sys.argv = [program.module, *program.arguments]
    try:
        code = importlib.import_module(program.module).main(list(program.arguments)) or 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else _CRASHED if end.code else 0
    if code == 0:
        _hand_on(program, root)
    sys.stdout.flush()
    return int(code)


def _hand_on(program: parcel.Program, root: Path) -> None:
    """What is irregular is named for the reader; the keeper judges by the missing end mark."""
    try:
        stream.send(root, program.allowed, RESULT)
    except (stream.IrregularFileError, OSError) as error:
        print(f"cannot hand on: {error}", file=sys.stderr)


def _tell_failure(error: BaseException) -> None:
    """On the note while it is open, that is before anything hostile ran; then as any program does."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace))
    try:
        os.write(NOTE, text[-1500:].encode("ascii", "replace"))
    except OSError:
        sys.stdout.flush()
        os.write(STDERR, text[-3500:].encode("ascii", "replace"))
