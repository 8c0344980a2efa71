"""Ctrl-C and its kin while a home is driven: the first one ends the loop in order, further ones change nothing."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from fedwright_operator.local.loop import Loop

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Interrupts:
    """Whether the process was asked to end, and the loop that is to hear of it."""

    requested: bool = False
    loop: Loop | None = None

    def heard_by(self, loop: Loop) -> None:
        self.loop = loop
        if self.requested:
            loop.stop()

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        if self.loop:
            self.loop.stop()


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Catch the signals until the end of the block."""
    heard = Interrupts()
    before = {number: signal.signal(number, heard) for number in SIGNALS}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
