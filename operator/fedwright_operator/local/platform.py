"""Platform boxes on one machine: trusted programs that talk to a federation, as plain child processes.

They get the folders of the box contract, the folder of the federation that they name, and nothing else. Lines
of JSON with numbers on their standard output are progress, for display.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event

from fedwright_crds.work import BoxKind, Outcome, Reason, Step, Verdict, Work, WorkResult
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.child import Child
from fedwright_operator.local.home import Home
from fedwright_operator.shell.clock import now, stamp

GRACE_SECONDS = 1.0
POLL_SECONDS = 0.1
ShowProgress = Callable[[str, Mapping[str, float]], None]


class BadOutputError(Exception):
    """A step left something other than the files it promised."""


class PlatformBoxes:
    """Runs works of which all steps are platform steps."""

    def __init__(self, artifacts: Artifacts, home: Home, show: ShowProgress) -> None:
        """`show` is told progress by work id."""
        self._artifacts, self._home, self._show = artifacts, home, show

    def run(self, work: Work, cancelled: Event) -> WorkResult:
        """Run the steps in order until one fails."""
        started, verdicts, outputs = now(), [], {}
        message = ""
        for step in work.steps:
            with _Folder(self._home.scratch) as box:
                verdict = self._step(work, step, box, cancelled)
                verdicts.append(verdict)
                if verdict.reason is Reason.COMPLETED:
                    try:
                        outputs.update(self._collect(work, step, box))
                    except BadOutputError as problem:
                        message = str(problem)
                        verdicts[-1] = verdict.model_copy(update={"reason": Reason.BAD_OUTPUT})
            if verdicts[-1].reason is not Reason.COMPLETED:
                break
        outcome = step.outcome(verdicts[-1])
        return WorkResult(
            id=work.id,
            kind=work.kind,
            outcome=outcome,
            message=message,
            verdicts=tuple(verdicts),
            outputs=outputs if outcome is Outcome.SUCCEEDED else {},
            started_at=stamp(started),
            finished_at=stamp(now()),
        )

    def _step(self, work: Work, step: Step, box: Path, cancelled: Event) -> Verdict:
        assert step.box is BoxKind.PLATFORM, "a platform box runs platform steps alone"
        digests = {one.name: one.digest for one in work.inputs}
        for name in step.inputs:
            (box / "in" / name).write_bytes(self._artifacts.read(digests[name]))
        environment = {"FEDWRIGHT_BOX": str(box), "HOME": str(box / "scratch"), "FEDWRIGHT_WORK": work.id}
        if step.federation:
            folder = self._home.federation(work.labels.get("namespace", "default"), step.federation)
            environment["FEDWRIGHT_FEDERATION"] = str(folder.absolute())
        started = time.monotonic()
        child = Child(
            step.program,
            cwd=box / "scratch",
            environment=environment,
            grace_seconds=GRACE_SECONDS,
            on_line=lambda line: self._progress(work.id, line),
        )
        reason, code = _follow(child, step.wall_seconds, cancelled)
        return Verdict(
            step=step.name,
            reason=reason,
            exit_code=code,
            wall_seconds=round(time.monotonic() - started, 3),
            text=child.last_words[-4096:],
        )

    def _collect(self, work: Work, step: Step, box: Path) -> dict[str, str]:
        promised = {one.name: one for one in work.outputs}
        found = {}
        for name in step.outputs:
            path = box / "out" / name
            if path.is_symlink() or not path.is_file():
                if promised[name].required:
                    raise BadOutputError(f"output {name} of step {step.name} is missing or no plain file")
                continue
            if path.stat().st_size > promised[name].max_bytes:
                raise BadOutputError(f"output {name} of step {step.name} is over {promised[name].max_bytes} bytes")
            found[name] = self._artifacts.write(path.read_bytes())
        return found

    def _progress(self, work_id: str, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            return
        if isinstance(said, dict):
            figures = {str(k): float(v) for k, v in said.items() if isinstance(v, int | float)}
            if figures:
                self._show(work_id, figures)


def _follow(child: Child, wall_seconds: float, cancelled: Event) -> tuple[Reason, int | None]:
    """Wait for the end, the deadline or a cancellation, whichever comes first."""
    deadline = time.monotonic() + wall_seconds
    while (code := child.wait(POLL_SECONDS)) is None:
        if cancelled.is_set() or time.monotonic() > deadline:
            child.end(GRACE_SECONDS + 2)
            return (Reason.PLATFORM if cancelled.is_set() else Reason.DEADLINE_EXCEEDED), None
    if code == 0:
        return Reason.COMPLETED, 0
    return (Reason.KILLED_BY_SIGNAL if code > 128 else Reason.CRASHED), code


class _Folder:
    """A box's folders, gone afterwards."""

    def __init__(self, below: Path) -> None:
        below.mkdir(parents=True, exist_ok=True)
        self._root = Path(tempfile.mkdtemp(prefix="platform-", dir=below)).absolute()
        for name in ("in", "out", "scratch"):
            (self._root / name).mkdir()

    def __enter__(self) -> Path:
        return self._root

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._root, ignore_errors=True)
