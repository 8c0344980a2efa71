"""Whether the process in another container of the pod is still the one it was: a lock that the kernel lets go at its end.

The two share no process namespace and open no port to each other. They share one small folder, and that is enough.
"""

import fcntl
import os
from pathlib import Path


def announce(path: Path) -> int:
    """Hold the lock for as long as this process, and what it forks, lives. The descriptor is the caller's to keep."""
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


class Watch:
    """Sees the end of whoever announces itself at this file."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o640)
        self._path, self._there = path, False

    def lost(self) -> bool:
        """Whether it was there when last asked, and is gone."""
        before, self._there = self._there, self._held()
        return before and not self._there

    def _held(self) -> bool:
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False
