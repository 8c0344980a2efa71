"""Which works run now: what is wanted, the most urgent first, as far as slots go; the unwanted is cancelled.

It knows works and results, and nothing of resources or plans.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event, Lock

from fedwright_crds.work import Outcome, Work, WorkResult
from fedwright_operator.local.works import AlreadyFinishedError, Works
from fedwright_operator.shell.clock import now, stamp

MOST_THREADS = 256
Execute = Callable[[Work, Event], WorkResult]


@dataclass(frozen=True)
class Wanted:
    """Work that should run, for whom, and how many works may run at one time for that root."""

    work: Work
    root: str
    slots: int


@dataclass
class Running:
    """A work in flight."""

    work: Work
    root: str
    cancelled: Event = field(default_factory=Event)
    since: float = field(default_factory=time.monotonic)
    progress: Mapping[str, float] = field(default_factory=dict)


class Scheduler:
    """Runs works in threads that live as long as it does (a sandbox dies with the thread that started it)."""

    def __init__(self, execute: Execute, works: Works, wake: Callable[[], None]) -> None:
        """`wake` is called from a worker's thread each time a work has ended or reported progress."""
        self._execute, self._works, self._wake = execute, works, wake
        self._pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="work")
        self._running: dict[str, Running] = {}
        self._futures: set[Future[None]] = set()
        self._lock = Lock()

    def want(self, wanted: Sequence[Wanted]) -> None:
        """Make it so: cancel what is not in the list, start what is, in its order, while there are slots."""
        ids = {one.work.id for one in wanted}
        for running in self.running():
            if running.work.id not in ids:
                running.cancelled.set()
        busy = Counter(one.root for one in self.running())
        for one in wanted:
            if busy[one.root] < one.slots and self._start(one):
                busy[one.root] += 1

    def running(self) -> tuple[Running, ...]:
        with self._lock:
            return tuple(self._running.values())

    def progress(self, work_id: str, figures: Mapping[str, float]) -> None:
        """Note what a running work reported."""
        with self._lock:
            if running := self._running.get(work_id):
                running.progress = dict(figures)
        self._wake()

    def cancel(self) -> None:
        """Cancel everything; it ends soon."""
        for running in self.running():
            running.cancelled.set()

    def stop(self, seconds: float) -> None:
        """Cancel everything and wait for it to be gone."""
        self.cancel()
        wait(self._futures, timeout=seconds)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, wanted: Wanted) -> bool:
        with self._lock:
            if wanted.work.id in self._running or wanted.work.id in self._works:
                return False
            running = self._running[wanted.work.id] = Running(wanted.work, wanted.root)
        self._works.start(wanted.work)
        future = self._pool.submit(self._run, running)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return True

    def _run(self, running: Running) -> None:
        try:
            result = self._result(running)
            # What was cancelled may be half done, whatever it says of itself.
            if not running.cancelled.is_set():
                self._works.finish(result)
        except AlreadyFinishedError:
            pass
        finally:
            with self._lock:
                del self._running[running.work.id]
            self._wake()

    def _result(self, running: Running) -> WorkResult:
        started, work = now(), running.work
        try:
            return self._execute(work, running.cancelled)
        except Exception as problem:
            return WorkResult(
                id=work.id,
                kind=work.kind,
                outcome=Outcome.PLATFORM_ERROR,
                message=f"{type(problem).__name__}: {problem}"[:16000],
                started_at=stamp(started),
                finished_at=stamp(now()),
            )
