"""The box contract: a unit of work is a pure function in a box.

What runs is named by programs, what goes in by digests, what comes out by name and greatest size. The same `Work` becomes
a Job with one container a step on Kubernetes, or a chain of sandboxed processes on one machine. Whoever reads the result
treats every byte of it as hostile.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints
from typing_extensions import override

from fedwright_crds.base import Digest, Line, Strict, Text, Word, canonical, digest_of

MIB = 1024 * 1024
AWAY = 75
"""Exit code of a mind's program where what it needs is not there for now: EX_TEMPFAIL of sysexits.h."""


class BoxKind(StrEnum):
    """The kinds of box, never mixed. Only `Bench` executes generated code before it is deployed."""

    MIND = "Mind"
    """Has a model key and the network that it needs; never executes generated code."""
    BENCH = "Bench"
    """Executes generated code; no key, token, network or data set."""
    JUDGE = "Judge"
    """Trusted code and the data; no key, no generated code, and nothing is ever unpickled in it."""
    PLATFORM = "Platform"
    """Trusted code that talks to a federation's SuperLink; no key of a model, no data, no generated code."""


class Input(Strict):
    """A read-only file at `/box/in/<name>`."""

    name: Word
    digest: Digest


class Output(Strict):
    """A file that a step may leave at `/box/out/<name>`; it becomes an artifact of that digest."""

    name: Word
    max_bytes: Annotated[int, Field(ge=1, le=256 * MIB)]
    media_type: Line = "application/json"
    required: bool = True


class Handover(Strict):
    """A folder, held in memory, that one step writes at `/box/to/<name>` and later steps read at `/box/from/<name>`."""

    name: Word
    max_bytes: Annotated[int, Field(ge=1, le=256 * MIB)]


class Step(Strict):
    """One program in one box; it sees the inputs and handovers that it names and nothing else.

    `fleet` > 0 starts the program once as `server` and that many times as `client <id>`, each in a box of its own, joined
    only by the trusted parent's message channel, which counts bytes and rounds. Client i sees only the files of its
    handovers whose names begin with `client-<i>.`; the server sees only those that begin with `server.`.
    """

    name: Word
    box: BoxKind
    program: Annotated[tuple[Line, ...], Field(min_length=1, max_length=32)]
    """A module with `main(argv) -> int`, then its arguments: `python -m program[0] program[1:]`."""
    inputs: tuple[Word, ...] = ()
    reads: tuple[Word, ...] = ()
    writes: tuple[Word, ...] = ()
    outputs: tuple[Word, ...] = ()
    wall_seconds: Annotated[float, Field(gt=0, le=86400)] = 60.0
    memory_mib: Annotated[int, Field(ge=16, le=1024 * 1024)] = 1024
    """Of each box, the files that it writes included; a fleet has as many as members."""
    processes: Annotated[int, Field(ge=1, le=4096)] = 64
    fleet: Annotated[int, Field(ge=0, le=1024)] = 0
    quiet: bool = False
    """What it prints is dropped: it reads test inputs or labels, and its text must not reach a mind."""
    federation: Line = ""
    """Platform box only: the Federation that the step may talk to."""

    def outcome(self, verdict: "Verdict") -> "Outcome":
        """Whose fault it is that this step ended so: its own, or ours.

        Trusted programs are ours. Judges pass a limit where the machine is slow or full; what they crash on is somebody's data
        or output, and would be again. Of a platform box only the deadline bounds the work itself. A mind says itself that the
        gateway to its model was away; in boxes with generated code an exit code says nothing.
        """
        reason = verdict.reason
        if reason is Reason.COMPLETED:
            return Outcome.SUCCEEDED
        if self.box is BoxKind.MIND and reason is Reason.CRASHED and verdict.exit_code == AWAY:
            return Outcome.PLATFORM_ERROR
        return Outcome.PLATFORM_ERROR if reason in _OURS | _OURS_IN.get(self.box, frozenset()) else Outcome.FAILED


class Work(Strict):
    """A unit of work. Its id is a digest of all that can change its result, and of nothing else."""

    kind: Word
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=8)]
    inputs: tuple[Input, ...] = ()
    handovers: tuple[Handover, ...] = ()
    outputs: tuple[Output, ...] = ()
    images: dict[BoxKind, Digest]
    """The image of each box that the steps use, by digest: an upgrade never mixes scores."""
    attempt: Annotated[int, Field(ge=0, le=100)] = 0
    labels: dict[str, str] = Field(default_factory=dict)
    """Whose work it is, for people and for clean-up; no part of the id."""

    @cached_property
    def id(self) -> str:
        """WorkId: a finished id is never started again."""
        return digest_of(canonical(self.model_dump(mode="json", exclude={"labels"})))[7:47]

    @override
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Pydantic copies what is cached too, and another attempt has another id. Labels are no part of it."""
        copied = super().model_copy(update=update, deep=deep)
        if (update or {}).keys() - {"labels"}:
            copied.__dict__.pop("id", None)
        return copied


class Outcome(StrEnum):
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    """The work's own fault (its code, its output, a limit that it passed): never tried again."""
    PLATFORM_ERROR = "PlatformError"
    """Our fault or the machine's: tried again as a new attempt, within a bound."""


class Reason(StrEnum):
    """Why a step ended, from what the trusted parent saw; nothing that the step said goes into it."""

    COMPLETED = "Completed"
    CRASHED = "Crashed"
    """It raised or exited with an error."""
    KILLED_BY_SIGNAL = "KilledBySignal"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    OUTPUT_FLOOD = "OutputFlood"
    OUT_OF_MEMORY = "OutOfMemory"
    BAD_OUTPUT = "BadOutput"
    """A missing, oversized or irregular file (link, FIFO, device, odd name) where an output or handover should be."""
    NO_SANDBOX = "NoSandbox"
    PLATFORM = "Platform"


_OURS = frozenset({Reason.PLATFORM, Reason.NO_SANDBOX})
_OURS_IN = {
    BoxKind.JUDGE: frozenset({Reason.DEADLINE_EXCEEDED, Reason.OUT_OF_MEMORY}),
    BoxKind.PLATFORM: frozenset(Reason) - {Reason.COMPLETED, Reason.DEADLINE_EXCEEDED},
}


class Verdict(Strict):
    """How one step ended."""

    step: Word
    reason: Reason
    exit_code: int | None = None
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_mib: float | None = None
    text: Annotated[str, StringConstraints(max_length=4096)] = ""
    """The end of what the step printed, made printable. Empty for a step that saw test inputs: it must not reach a mind."""
    rounds: int | None = None
    bytes_up: int | None = None
    bytes_down: int | None = None
    """A fleet's rounds and payload bytes as the parent counted them; null elsewhere."""


class WorkResult(Strict):
    """What became of a unit of work, written once."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
    kind: Word
    outcome: Outcome
    message: Text = ""
    verdicts: tuple[Verdict, ...] = ()
    outputs: dict[str, Digest] = Field(default_factory=dict)
    started_at: Line = ""
    finished_at: Line = ""

    @property
    def reason(self) -> Reason:
        """The last step's reason: steps run in order and the first that fails is the last."""
        return self.verdicts[-1].reason if self.verdicts else Reason.PLATFORM
