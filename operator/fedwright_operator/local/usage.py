"""What driving a request took, over all the processes that drove it: seconds and peak memory, for its result."""

import json
import time
from contextlib import suppress
from pathlib import Path

from fedwright_operator.local.files import write_whole
from fedwright_operator.local.memory import PeakMemory

SAVE_SECONDS = 5.0


class Usage:
    """Counts while it is open, goes on from what an earlier process left, and is saved now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        before = {}
        with suppress(OSError, ValueError):
            before = json.loads(path.read_text())
        self._earlier = float(before.get("seconds", 0.0))
        self._memory = PeakMemory(float(before.get("peakMemoryMiB", 0.0)))
        self._began = self._saved = time.monotonic()

    def __enter__(self) -> "Usage":
        self._memory.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.__exit__()
        self._save()

    @property
    def seconds(self) -> float:
        return self._earlier + time.monotonic() - self._began

    @property
    def peak_memory_mib(self) -> float:
        return self._memory.mib

    def tick(self) -> None:
        """Save, if that is some time ago."""
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self._save()

    def _save(self) -> None:
        self._saved = time.monotonic()
        figures = {"seconds": self.seconds, "peakMemoryMiB": self.peak_memory_mib}
        write_whole(self._path, json.dumps(figures).encode())
