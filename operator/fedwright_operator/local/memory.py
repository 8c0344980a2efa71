"""The greatest memory that this process and all its descendants took together, sampled by a small thread."""

import time
from threading import Event, Thread

from fedwright_boxes.memory import tree_pss_mib

SAMPLE_SECONDS = 1.0
LARGEST_SHARE = 0.02
"""Of the time may go into looking: the kernel counts the pages of every process, some 2 ms each."""


class PeakMemory:
    """Samples while it is open; `mib` is the greatest PSS so far, shared pages counted once."""

    def __init__(self, at_least_mib: float = 0.0) -> None:
        self.mib = at_least_mib
        self._closed = Event()
        self._thread = Thread(target=self._sample, name="peak memory", daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()

    def _sample(self) -> None:
        pause = SAMPLE_SECONDS
        while not self._closed.wait(pause):
            began = time.thread_time()
            self.mib = max(self.mib, tree_pss_mib())
            pause = max(SAMPLE_SECONDS, (time.thread_time() - began) / LARGEST_SHARE)
