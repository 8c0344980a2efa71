"""What a program of ours prints, on its way to the container's log: line by line, at once, bounded in size and rate.

For whoever watches, so it never waits: what is too much, or finds no room, is left out. What it prints may quote others,
so a line is made printable.
"""

import contextlib
import os
import select
import time
from collections.abc import Callable

LINE_BYTES = 1000
"""What is left of a longer line; less than a pipe takes whole."""
BURST_BYTES = 64 * 1024
BYTES_A_SECOND = 512
"""Once the burst is used up. In the longest step that there may be, this fills the log of a container a few times."""


class Relay:
    """Of one program. `hear` what it prints, in pieces."""

    def __init__(self, to: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`to` is a descriptor, `clock` tells seconds."""
        self._to, self._clock = to, clock
        self._rest = b""
        self._credit, self._since = float(BURST_BYTES), clock()

    def hear(self, piece: bytes) -> None:
        *lines, rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._pass_on(_printable(line[:LINE_BYTES]) + b"\n")
        self._rest = rest[:LINE_BYTES]

    def _pass_on(self, line: bytes) -> None:
        now = self._clock()
        self._credit = min(BURST_BYTES, self._credit + BYTES_A_SECOND * (now - self._since))
        self._since = now
        if len(line) > self._credit:
            return
        with contextlib.suppress(OSError):
            if select.select([], [self._to], [], 0)[1]:
                os.write(self._to, line)
                self._credit -= len(line)


def _printable(line: bytes) -> bytes:
    return bytes(letter if 32 <= letter < 127 or letter == 9 else ord("?") for letter in line)
