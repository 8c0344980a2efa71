"""Runs the steps of a `Work` in order: what each may see, what it hands on, and what that says about the work.

Handovers are held in memory; no folder is shared. Not known here: how a cell is locked in, and what a program does.
"""

import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from mmap import PAGESIZE
from pathlib import Path
from typing import Protocol

from fedwright_boxes import limits
from fedwright_boxes.fleet import SERVER, Switchboard
from fedwright_boxes.keeper import Zygote, ZygoteError
from fedwright_boxes.limits import Limits
from fedwright_boxes.parcel import Content, Program
from fedwright_boxes.protocol import Enclosure
from fedwright_boxes.stream import Allowed, Delivery, StreamError, receive
from fedwright_boxes.watch import NO_TRUST, Cell, Order, Trust, supervise
from fedwright_crds.base import Digest, digest_of
from fedwright_crds.work import MIB, BoxKind, Input, Reason, Step, Verdict, Work, WorkResult

_OTHERS = 16
"""Threads of the parent and the zygote, in a container where they have the cells' user."""


class Artifacts(Protocol):
    """Bytes by digest."""

    def read(self, digest: Digest) -> bytes:
        """Raises `OSError` or `KeyError` if there are none."""

    def write(self, data: bytes) -> Digest: ...


Secrets = Callable[[Work, Step], Mapping[str, bytes]]
"""What a step is given that is no part of the work, by name: it may change from try to try, and no digest covers it."""


class WorkError(Exception):
    """The work cannot be run as it is written, or an input is not there."""


@dataclass
class Progress:
    """What the steps of one work have brought so far."""

    work: Work
    inputs: Mapping[str, Content]
    secrets: "Secrets"
    handovers: dict[str, Mapping[str, Content]] = field(default_factory=dict)
    outputs: dict[str, Digest] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)


def run(
    work: Work,
    artifacts: Artifacts,
    zygote_for: Callable[[BoxKind], Zygote],
    scratch: Path,
    cancelled: Callable[[], bool],
    secrets: Secrets,
) -> WorkResult:
    """Never raises for what the work does; `zygote_for` may raise, and then nothing of it has run."""
    started = now()
    message = ""
    progress = Progress(work, {}, secrets)
    try:
        progress = Progress(work, read_inputs(work.inputs, artifacts), secrets)
        for step in work.steps:
            if cancelled():
                raise WorkError("cancelled")
            message = run_step(progress, step, zygote_for(step.box), artifacts, scratch, cancelled)
            if message:
                break
    except (WorkError, ZygoteError) as error:
        message = str(error)
        progress.verdicts.append(Verdict(step=work.steps[len(progress.verdicts)].name, reason=Reason.PLATFORM))
    return result_of(work, progress.verdicts, message, progress.outputs, started)


def result_of(
    work: Work, verdicts: list[Verdict], message: str, outputs: dict[str, Digest], started: str
) -> WorkResult:
    last = next(step for step in work.steps if step.name == verdicts[-1].step)
    return WorkResult(
        id=work.id,
        kind=work.kind,
        outcome=last.outcome(verdicts[-1]),
        message=message[:4096],
        verdicts=tuple(verdicts),
        outputs=outputs,
        started_at=started,
        finished_at=now(),
    )


def now() -> str:
    """UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_inputs(entries: Iterable[Input], artifacts: Artifacts) -> dict[str, bytes]:
    """By name; raises `WorkError` for what is not there or is not what its digest says."""
    found = {}
    for entry in entries:
        try:
            found[entry.name] = artifacts.read(entry.digest)
        except (OSError, KeyError) as error:
            raise WorkError(f"input {entry.name}: there is no artifact {entry.digest}: {error}") from error
        if digest_of(found[entry.name]) != entry.digest:
            raise WorkError(f"input {entry.name}: the artifact's bytes are not those of {entry.digest}")
    return found


def run_step(
    progress: Progress,
    step: Step,
    zygote: Zygote,
    artifacts: Artifacts,
    scratch: Path,
    cancelled: Callable[[], bool],
    trust: Trust = NO_TRUST,
) -> str:
    """Adds the step's verdict; the answer is why the work ends here, '' if it goes on."""
    with contextlib.ExitStack() as stack:
        team = _Team(progress, step, zygote, scratch, trust)
        cells = team.start(stack)
        culprit = supervise(cells, cancelled, team.switchboard)
        verdict, message = team.verdict(culprit)
    if cancelled() and verdict.reason == Reason.PLATFORM:
        message = "cancelled"
    if verdict.reason == Reason.COMPLETED:
        try:
            _take(progress, step, team.delivery(), artifacts)
        except StreamError as error:
            verdict = verdict.model_copy(update={"reason": Reason.BAD_OUTPUT})
            message = str(error)
    if step.quiet:
        verdict = verdict.model_copy(update={"text": ""})
    progress.verdicts.append(verdict)
    return f"step {step.name}: {message or verdict.reason}" if verdict.reason != Reason.COMPLETED else ""


def _take(progress: Progress, step: Step, delivery: Delivery, artifacts: Artifacts) -> None:
    declared = {output.name: output for output in progress.work.outputs}
    for name in step.outputs:
        if declared[name].required and name not in delivery.outputs:
            raise StreamError(f"the required output {name} is missing")
    progress.handovers |= delivery.handovers
    progress.outputs |= {name: artifacts.write(content) for name, content in delivery.outputs.items()}


class _Team:
    """The cells of one step: one, or a server and its clients."""

    def __init__(self, progress: Progress, step: Step, zygote: Zygote, scratch: Path, trust: Trust) -> None:
        self._progress, self._step, self._zygote, self._scratch = progress, step, zygote, scratch
        self._trust = trust
        self._allowed = _allowed(progress.work, step)
        self._cells: list[Cell] = []
        self.switchboard: Switchboard | None = None

    def start(self, stack: contextlib.ExitStack) -> list[Cell]:
        """The first is the one whose files count."""
        if not self._step.fleet:
            self._cells.append(stack.enter_context(self._cell(self._order((), "", writes=True), None)))
            return self._cells
        members: dict[int, tuple[socket.socket, Cell]] = {}
        for name in (SERVER, *range(self._step.fleet)):
            ours, theirs = socket.socketpair()
            stack.callback(ours.close)
            words = ("server",) if name == SERVER else ("client", str(name))
            order = self._order(words, "-".join(words) + ".", writes=name == SERVER)
            cell = stack.enter_context(self._cell(order, theirs))
            self._cells.append(cell)
            members[name] = ours, cell
        self.switchboard = Switchboard(members)
        return self._cells

    def _cell(self, order: Order, channel: socket.socket | None) -> Cell:
        root = None
        if self._zygote.enclosure != Enclosure.NAMESPACES:
            root = self._scratch / f"box-{os.getpid()}-{secrets.token_hex(16)}"  # no other cell can guess it
            root.mkdir(parents=True, mode=0o700)
        return Cell(self._zygote, order, root, channel)

    def _order(self, words: tuple[str, ...], prefix: str, writes: bool) -> Order:
        step = self._step
        allowed = self._allowed if writes else Allowed({}, {})
        program = Program(
            module=step.program[0],
            arguments=(*step.program[1:], *words),
            allowed=allowed,
        )
        files = dict(_files(self._progress, step, prefix))
        size = sum(-(-len(content) // PAGESIZE) * PAGESIZE for content in files.values())
        bounds = Limits(
            wall_seconds=step.wall_seconds,
            memory_bytes=step.memory_mib * MIB + size,
            folder_bytes=size + limits.SCRATCH_BYTES + allowed.most_bytes,
            processes=step.processes,
            beside=self._beside(),
            files=len(files),
            open_files=self._zygote.profile.open_files,
        )
        return Order(program, files, bounds, allowed.most_bytes, self._trust)

    def _beside(self) -> int:
        """Where all have one user, the kernel counts what the others may start with what each has."""
        if self._zygote.enclosure != Enclosure.CONTAINER:
            return 0
        return _OTHERS + self._step.fleet * min(self._step.processes, limits.UNGROUPED_PROCESSES)

    def delivery(self) -> Delivery:
        return receive(self._cells[0].result.data, self._allowed)

    def verdict(self, culprit: Cell | None) -> tuple[Verdict, str]:
        judged = culprit or self._cells[0]
        peaks = [cell.peak_memory_mib for cell in self._cells]
        verdict = Verdict(
            step=self._step.name,
            reason=judged.reason,
            exit_code=judged.exit_code,
            wall_seconds=round(max(cell.wall_seconds for cell in self._cells), 4),
            cpu_seconds=round(sum(cell.cpu_seconds for cell in self._cells), 4),
            peak_memory_mib=sum(peak for peak in peaks if peak) or None,
            text=judged.printed,
            rounds=self.switchboard.rounds if self.switchboard else None,
            bytes_up=self.switchboard.bytes_up if self.switchboard else None,
            bytes_down=self.switchboard.bytes_down if self.switchboard else None,
        )
        return verdict, judged.platform_error if judged.reason == Reason.PLATFORM else ""


def _allowed(work: Work, step: Step) -> Allowed:
    handovers = {handover.name: handover.max_bytes for handover in work.handovers}
    outputs = {output.name: output.max_bytes for output in work.outputs}
    try:
        return Allowed({name: handovers[name] for name in step.writes}, {name: outputs[name] for name in step.outputs})
    except KeyError as error:
        raise WorkError(f"step {step.name} writes {error}, which the work does not declare") from error


def _files(progress: Progress, step: Step, prefix: str) -> Iterator[tuple[str, Content]]:
    """Paths in the box, with bytes. A fleet's member sees the files of handovers that begin with `prefix`."""
    for name in step.inputs:
        if name not in progress.inputs:
            raise WorkError(f"step {step.name} names the input {name}, which the work does not have")
        yield f"in/{name}", progress.inputs[name]
    for name, secret in progress.secrets(progress.work, step).items():
        yield f"secret/{name}", secret
    for handover in step.reads:
        if handover not in progress.handovers:
            raise WorkError(f"step {step.name} reads the handover {handover}, which no earlier step has written")
        for file, content in progress.handovers[handover].items():
            if file.startswith(prefix):
                yield f"from/{handover}/{file}", content
