"""Keeping processes up: units of processes that live and die together, started again after a pause that grows.

Ending is killing. Whatever runs here must recover from that at its next start anyway, so there is no second way to stop.
"""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from os import waitpid

from fedwright_federation.flower.processes import reap, signal_group

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A unit that has run this long starts again with the first pause."""

Start = Callable[[], int]


@dataclass
class Unit:
    """Processes of which none is of use without the others."""

    name: str
    begin: Callable[[], dict[str, Start]]
    """What to start, in order, by process name; asked anew each time."""
    pids: dict[str, int] = field(default_factory=dict)
    starts: int = 0
    last_end: str = ""
    _started_at: float = 0.0
    _pause: float = FIRST_PAUSE_SECONDS
    _not_before: float = 0.0

    @property
    def up(self) -> bool:
        return bool(self.pids)

    @property
    def restarts(self) -> int:
        return max(0, self.starts - 1)

    def tend(self) -> None:
        """Notice what ended, and start again what is due."""
        for name, pid in self.pids.items():
            status = reap(pid)
            if status is not None:
                self.last_end = f"{name} ended with {describe(status)}"
                self._down(already=name)
                return
        if not self.pids and time.monotonic() >= self._not_before:
            self._up()

    def end(self) -> None:
        """Kill all its processes and wait until they are gone."""
        for pid in self.pids.values():
            signal_group(pid, signal.SIGKILL)
        for pid in self.pids.values():
            with suppress(ChildProcessError):
                waitpid(pid, 0)
        self.pids = {}

    def renew(self) -> None:
        """End it and let it start at once."""
        self.end()
        self._not_before = 0.0

    def _up(self) -> None:
        self._started_at = time.monotonic()
        self.starts += 1
        for name, start in self.begin().items():
            self.pids[name] = start()

    def _down(self, already: str) -> None:
        del self.pids[already]
        self.end()
        if time.monotonic() - self._started_at > STEADY_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        self._not_before = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)


class Attendance:
    """Which units run but are seen by nobody: hung, or no longer saying that they live."""

    def __init__(self, patience: float) -> None:
        self._patience, self._seen = patience, dict[int, float]()

    def missed(self, units: Mapping[int, Unit], seen: Set[int]) -> list[Unit]:
        """Those that have been up for longer than the patience and were not seen in all that time."""
        now = time.monotonic()
        self._seen |= dict.fromkeys(seen | {name for name, unit in units.items() if not unit.up}, now)
        found = [name for name in units if now - self._seen.setdefault(name, now) > self._patience]
        self._seen |= dict.fromkeys(found, now)
        return [units[name] for name in found]


def describe(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"


def every(seconds: float) -> Iterator[bool]:
    """Endlessly: whether that many seconds have passed since it last said so. The first time it says so."""
    due = 0.0
    while True:
        now = time.monotonic()
        if now >= due:
            due = now + seconds
            yield True
        else:
            yield False
