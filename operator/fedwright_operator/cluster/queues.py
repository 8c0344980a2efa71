"""A queue for each root: however often it is asked for, one pass at a time, and one more where something came meanwhile.

Passes run in threads, so that none of them holds up the event loop and with it the watches.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from fedwright_operator.cluster.api import AwayError
from fedwright_operator.cluster.lease import NotLeaderError

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
"""Between tries after an error: doubled each time."""

log = logging.getLogger(__name__)

Pass = Callable[[str], float | None]
Measure = Callable[[str, float, float], None]
"""Told of each pass: how it ended, how long it waited and how long it took, in seconds."""


@dataclass
class _Entry:
    """A root's place: since when someone asks for a pass, and since when one runs."""

    asked: float | None = None
    failures: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    began: float | None = None


class Queues:
    """All queues. Made and used within one event loop, save `ask`, which any thread may call."""

    def __init__(self, run: Pass, threads: int, measure: Measure = lambda *_: None) -> None:
        self._run, self._measure = run, measure
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pass")
        self._loop = asyncio.get_running_loop()
        self._entries: dict[str, _Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()

    def ask(self, root: str) -> None:
        """A pass over this root soon."""
        self._loop.call_soon_threadsafe(self._ask, root)

    @property
    def depth(self) -> int:
        """How many roots wait for a pass."""
        return sum(entry.asked is not None for entry in self._entries.values())

    def slowest(self) -> float:
        """Seconds that the longest waiting or running pass has taken until now."""
        marks = [mark for entry in list(self._entries.values()) for mark in (entry.asked, entry.began) if mark]
        return time.monotonic() - min(marks) if marks else 0.0

    def open(self) -> None:
        """Begin; until then whoever asks is only noted."""
        self._open.set()

    async def close(self) -> None:
        """No more passes; those that run end first."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _ask(self, root: str) -> None:
        entry = self._entries.get(root)
        if entry is None:
            entry = self._entries[root] = _Entry()
            task = self._loop.create_task(self._serve(root, entry))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if entry.asked is None:
            entry.asked = time.monotonic()
        entry.wake.set()

    async def _serve(self, root: str, entry: _Entry) -> None:
        await self._open.wait()
        while True:
            pause = await self._once(root, entry)
            if pause is None and entry.asked is None:
                del self._entries[root]
                return
            if entry.failures:
                await asyncio.sleep(pause or 0.0)  # whatever it is asked meanwhile: what failed is not hurried
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(entry.wake.wait(), pause or 0.0)
            entry.asked = entry.asked or time.monotonic()

    async def _once(self, root: str, entry: _Entry) -> float | None:
        """One pass; how long to wait for the next unless someone asks."""
        asked = entry.asked
        outcome, pause = "done", None
        try:
            pause = await self._loop.run_in_executor(self._pool, self._pass, root, entry)
            entry.failures = 0
        except (AwayError, NotLeaderError) as problem:
            outcome, pause = "away", self._after_failure(entry)
            log.warning("pass over %s: %s", root, problem)
        except Exception:
            outcome, pause = "error", self._after_failure(entry)
            log.exception("pass over %s", root)
        began, entry.began = entry.began or time.monotonic(), None
        self._measure(outcome, began - (asked or began), time.monotonic() - began)
        return pause

    def _pass(self, root: str, entry: _Entry) -> float | None:
        """In a thread. What was asked for while all threads were at work is answered by this pass."""
        entry.wake.clear()
        entry.asked, entry.began = None, time.monotonic()
        return self._run(root)

    def _after_failure(self, entry: _Entry) -> float:
        entry.failures += 1
        return float(min(FIRST_PAUSE_SECONDS * 2 ** (entry.failures - 1), LONGEST_PAUSE_SECONDS))
