"""Child processes by fork, tied to their parent: they die when it does, and their words go to a log of their own.

A parent that has imported everything forks children that share its memory and start at once. It must have one thread only.
"""

import ctypes
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
NAME_LENGTH = 15
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD, signal.SIGHUP)

_prctl = ctypes.CDLL(None, use_errno=True).prctl


def spawn(
    name: str,
    body: Callable[[], None],
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run `body` in a child of this process, in a process group of its own; its pid.

    Without `log` it keeps the parent's output. It ends with 0, with SystemExit's status, or with 1 where `body` raises.
    """
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # the collector then leaves alone, and so shared, what both have in common
    pid = os.fork()
    gc.unfreeze()
    if pid:
        with suppress(OSError):
            os.setpgid(pid, pid)  # the child does so too: whoever comes first, it is done when this returns
        return pid
    status = 1
    try:
        _settle(name, parent, log)
        os.environ.update(environment or {})
        body()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def reap(pid: int) -> int | None:
    """The exit status of a child that has ended, negative for a signal; None while it runs."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return -signal.SIGKILL
    return os.waitstatus_to_exitcode(status) if ended else None


def signal_group(pid: int, number: int) -> None:
    """Signal a child and all it has started that kept to its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _settle(name: str, parent: int, log: Path | None) -> None:
    os.setpgid(0, 0)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    _prctl(PR_SET_NAME, name.encode()[:NAME_LENGTH], 0, 0, 0)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    if log is not None:
        _write_to(log)


def _write_to(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    os.close(nothing)
