"""Ends what cells leave behind: in a container no namespace dies with a cell.

Whatever loses its parent there becomes a child of the launcher, which has no children of its own but the zygote.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Collection

from fedwright_boxes import memory

_TICK_SECONDS = 0.05


class Broom:
    """Sweeps while it is open: whatever is orphaned ends at once. Use as a context manager."""

    def __init__(self, spared: Callable[[], Collection[int]]) -> None:
        """`spared`: the children that are no orphans."""
        self._spared = spared
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broom", daemon=True)

    def __enter__(self) -> "Broom":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_TICK_SECONDS):
            sweep(self._spared(), seconds=_TICK_SECONDS)


def sweep(spared: Collection[int], seconds: float) -> bool:
    """End all children but those, with all below them. Whether none is left when the time is over.

    They are stopped first, from the top down: what is stopped neither forks nor frees a number that would then be
    another's, and one that forked before it stopped is found in the next pass.
    """
    end = time.monotonic() + seconds
    while orphans := set(memory.children(os.getpid())) - set(spared):
        family = _stop(orphans) | _stop(orphans)
        for process in family:
            _send(process, signal.SIGKILL)
        if not _reap(orphans, end):
            return False
    return True


def _stop(orphans: Collection[int]) -> set[int]:
    family = set()
    for orphan in orphans:
        for process in memory.tree(orphan):
            _send(process, signal.SIGSTOP)
            family.add(process)
    return family


def _send(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except (ProcessLookupError, PermissionError):
        return


def _reap(orphans: Collection[int], end: float) -> bool:
    waiting = set(orphans)
    while waiting:
        for process in list(waiting):
            if _ended(process):
                waiting.discard(process)
        if waiting and time.monotonic() > end:
            return False
        time.sleep(0.001 if waiting else 0)
    return True


def _ended(process: int) -> bool:
    try:
        return os.waitpid(process, os.WNOHANG)[0] == process
    except ChildProcessError:
        return True
