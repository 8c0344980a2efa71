"""Progress on a terminal (rich, redrawn in place) or in a log (plain lines, few of them)."""

import time
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fedwright_crds.candidate import Candidate, CandidatePhase
from fedwright_operator.cli.columns import figure
from fedwright_operator.cli.plain import plain_line
from fedwright_operator.cli.snapshot import Snapshot, clock, score

REDRAW_SECONDS = 0.25
PLAIN_SECONDS = 15.0
COLOURS = {
    CandidatePhase.SCORED: "green",
    CandidatePhase.REJECTED: "red",
    CandidatePhase.FAILED: "red",
    CandidatePhase.NOT_SELECTED: "dim",
}


class Screen(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def due(self) -> bool:
        """Whether a snapshot is worth taking now."""
        ...

    def show(self, snapshot: Snapshot) -> None: ...


def screen_for(console: Console) -> Screen:
    return LiveScreen(console) if console.is_terminal else PlainScreen(console)


class LiveScreen(AbstractContextManager["LiveScreen"]):
    """The request and all its candidates, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._stack = ExitStack()
        self._shown = 0.0

    def __enter__(self) -> Self:
        self._stack.enter_context(self._live)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def due(self) -> bool:
        return time.monotonic() - self._shown >= REDRAW_SECONDS

    def show(self, snapshot: Snapshot) -> None:
        self._shown = time.monotonic()
        self._live.update(_frame(snapshot), refresh=True)


def _frame(snapshot: Snapshot) -> Group:
    heading = Text.assemble((snapshot.request.metadata.name, "bold"), "  ", (snapshot.phase, "cyan"))
    lines = [heading, Text(f"best {snapshot.best}"), Text(snapshot.budgets, style="dim")]
    if snapshot.rollout:
        lines.append(Text(f"deployment {snapshot.rollout}", style="magenta"))
    running = "  ".join(f"{one.kind} {one.whose} {one.seconds:.0f}s{one.progress}" for one in snapshot.running)
    return Group(*lines, _candidates(snapshot), Text(f"running: {running or 'nothing'}", style="dim"))


def _candidates(snapshot: Snapshot) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("candidate", "what it is", "phase", "trials", "score"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for one in snapshot.candidates:
        best = one.metadata.name == snapshot.request.status.best_candidate
        table.add_row(
            one.metadata.name,
            Text(plain_line(one.spec.title)),
            Text(str(one.status.phase), style=COLOURS.get(one.status.phase, "")),
            str(len(one.status.trials) or ""),
            Text(figure(score(one)), style="bold green" if best else ""),
        )
    return table


class PlainScreen(AbstractContextManager["PlainScreen"]):
    """A line when the phase changes or a candidate ends, and one now and then between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._ended: set[str] = set()
        self._looked = self._said = 0.0

    def __exit__(self, *_: object) -> None:
        return None

    def due(self) -> bool:
        return time.monotonic() - self._looked >= REDRAW_SECONDS

    def show(self, snapshot: Snapshot) -> None:
        self._looked = time.monotonic()
        for one in snapshot.candidates:
            if one.status.phase.terminal and one.metadata.name not in self._ended:
                self._ended.add(one.metadata.name)
                self._say(snapshot, _ended(one))
        phase = str(snapshot.request.status.phase)
        if phase != self._phase or time.monotonic() - self._said > PLAIN_SECONDS:
            self._phase = phase
            rollout = f" · deployment {snapshot.rollout}" if snapshot.rollout else ""
            self._say(snapshot, f"{snapshot.phase} · best {snapshot.best} · {snapshot.budgets}{rollout}")

    def _say(self, snapshot: Snapshot, line: str) -> None:
        self._said = time.monotonic()
        self._console.print(
            f"[{clock(snapshot.seconds)}] {plain_line(line)}", markup=False, highlight=False, soft_wrap=True
        )


def _ended(one: Candidate) -> str:
    scored = f" {figure(score(one))}" if score(one) is not None else ""
    return f"{one.metadata.name} ({one.spec.title}): {one.status.phase}{scored}"
