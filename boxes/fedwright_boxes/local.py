"""Boxes on one machine: takes a `Work`, runs its steps, answers with what became of it."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from fedwright_boxes import groups, steps, trial
from fedwright_boxes.keeper import Zygote, ZygoteError
from fedwright_boxes.profiles import PROFILES, Profile
from fedwright_boxes.steps import Artifacts, Secrets
from fedwright_crds.work import BoxKind, Reason, Verdict, Work, WorkResult

_POLL_SECONDS = 0.1


def sandbox_available() -> str | None:
    """None if generated code can be run in a sandbox here; else why it is refused, in words."""
    return trial.working_program()[1] or None


class LocalBoxes:
    """Runs works on this machine; `run` may be called from several threads. Use as a context manager.

    Zygotes start when a work first needs them. Without a sandbox, trusted boxes run as plain processes, and generated
    code is refused unless `unsafe_no_sandbox`.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        *,
        scratch: Path,
        unsafe_no_sandbox: bool = False,
        slots: int | None = None,
        binds: tuple[Path, ...] = (),
        extra_code: Mapping[BoxKind, tuple[Path, ...]] | None = None,
        environment: Mapping[BoxKind, Mapping[str, str]] | None = None,
        use_sandbox: bool = True,
        secrets: Secrets = lambda _work, _step: {},
    ) -> None:
        """`slots` works at once (default: as many as cores). `binds`: what the judge reads of the host, at its own path.

        `extra_code`: further folders of modules by kind. `environment`: variables of a kind's programs. `use_sandbox`:
        false to do as on a machine without one. `secrets`: what a step is given beside its inputs, for its eyes alone.
        """
        self._secrets = secrets
        self._artifacts, self._scratch, self._unsafe = artifacts, scratch, unsafe_no_sandbox
        self._program, self._refusal = trial.working_program() if use_sandbox else (None, "it is switched off")
        self._slots = threading.BoundedSemaphore(slots or os.cpu_count() or 1)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._zygotes: dict[BoxKind, Zygote] = {}
        self._profiles = {kind: _profile(kind, binds, extra_code or {}, environment or {}) for kind in PROFILES}
        groups.sweep()

    def __enter__(self) -> "LocalBoxes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every program that runs, and the zygotes."""
        self._closing.set()
        with self._lock:
            zygotes, self._zygotes = list(self._zygotes.values()), {}
        if zygotes:
            with ThreadPoolExecutor(len(zygotes)) as pool:
                list(pool.map(Zygote.close, zygotes))

    def warm(self, kinds: Iterable[BoxKind]) -> None:
        """Start the zygotes of these kinds, in parallel, without waiting for them."""
        for kind in kinds:
            self._current(kind)

    def run(self, work: Work, cancelled: threading.Event) -> WorkResult:
        """Run all steps; when `cancelled` is set, or on `close`, all of it ends at once. Raises for nothing it does."""
        if self._refusal and not self._unsafe:
            for step in work.steps:
                if step.box == BoxKind.BENCH:
                    return self._refuse(work, step.name, Reason.NO_SANDBOX, self._why_refused())

        def ends() -> bool:
            return cancelled.is_set() or self._closing.is_set()

        while not self._slots.acquire(timeout=_POLL_SECONDS):
            if ends():
                return self._refuse(work, work.steps[0].name, Reason.PLATFORM, "cancelled")
        try:
            self.warm({step.box for step in work.steps})
            return steps.run(
                work, self._artifacts, lambda kind: self._ready(kind, ends), self._scratch, ends, self._secrets
            )
        except (ZygoteError, OSError) as error:
            return self._refuse(work, work.steps[0].name, Reason.PLATFORM, str(error))
        finally:
            self._slots.release()

    def _why_refused(self) -> str:
        return f"generated code is not run without a sandbox: {self._refusal}; or pass --unsafe-no-sandbox"

    @staticmethod
    def _refuse(work: Work, step: str, reason: Reason, message: str) -> WorkResult:
        now = steps.now()
        return steps.result_of(work, [Verdict(step=step, reason=reason)], message, {}, now)

    def _current(self, kind: BoxKind) -> Zygote:
        """The kind's zygote, a new one if it has died; it may still be starting."""
        with self._lock:
            if self._closing.is_set():
                raise ZygoteError("closed")
            zygote = self._zygotes.get(kind)
            if zygote is None or not zygote.alive:
                zygote = self._zygotes[kind] = Zygote(self._profiles[kind], self._program)
        return zygote

    def _ready(self, kind: BoxKind, ends: Callable[[], bool]) -> Zygote:
        zygote = self._current(kind)
        while not zygote.wait_started(_POLL_SECONDS):
            if ends():
                raise ZygoteError("cancelled")
        return zygote


def _profile(
    kind: BoxKind,
    binds: tuple[Path, ...],
    extra_code: Mapping[BoxKind, tuple[Path, ...]],
    environment: Mapping[BoxKind, Mapping[str, str]],
) -> Profile:
    profile = PROFILES[kind]
    return replace(
        profile,
        code=extra_code.get(kind, ()),
        binds=binds if kind == BoxKind.JUDGE else (),
        environment={**profile.environment, **environment.get(kind, {})},
    )
