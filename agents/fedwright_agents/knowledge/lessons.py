"""Lessons: what was tried in a finished request, on what kind of task, with what effect.

A lesson is made of figures and of names that the catalogue knows, never of a sentence that a model, a candidate or a person wrote:
its words are this module's own, so that nothing can be planted in a later prompt.
"""

import fcntl
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Self

from pydantic import Field, ValidationError, model_validator

from fedwright_agents.knowledge.entries import Entry, Facets, Kind
from fedwright_agents.knowledge.shipped import families_for, words
from fedwright_crds.base import Name, Strict, Word, canonical, digest_of
from fedwright_crds.candidate import CandidatePhase
from fedwright_crds.documents import CandidateOutcome, DataFacts, ReportInput
from fedwright_crds.lessons import MOST_SEARCHED, line_of, unknown
from fedwright_crds.request import RequestSpec
from fedwright_crds.task import Architecture, DataSource, Metric, ModelSpec, PartitionKind, Scope
from fedwright_federation.catalogue import Circumstance, catalogue, circumstances

GREATEST = 16 * 1024 * 1024
"""Bytes of a lessons file."""
NOISE = 0.01
"""Differences to FedAvg up to this are none: absolute for shares, relative for other metrics."""
SHARES = frozenset(
    {
        Metric.ACCURACY,
        Metric.WORST_TENTH_ACCURACY,
        Metric.WORST_HEAD_ACCURACY,
        Metric.AVERAGE_ACCURACY,
        Metric.FORGETTING,
        Metric.MEMBERSHIP_AUC,
        Metric.MEMBERSHIP_TPR,
    }
)
SLOTS = frozenset({"selection", *(part.slot for part in catalogue().parts.values())})
CHECKS = frozenset(
    "Syntax Size Layout Import ForbiddenImport ForbiddenName ForbiddenAttribute OwnTests Build Legality Hyperparameters "
    "Simulation Shape Dtype Finite Prediction Determinism ClientState Serialisation Weights Codec Cohort NotFederated".split()
)
"""What a candidate may fail at."""
Share = Annotated[float, Field(gt=0, le=1)]


class Verdict(StrEnum):
    WON = "Won"
    BETTER = "Better"
    """Than FedAvg on the selection split, by more than the spread, though it was not the winner."""
    LEVEL = "Level"
    WORSE = "Worse"
    FAILED = "Failed"
    """Did not pass its tests or did not run."""


class LessonsError(Exception):
    """A lessons file or a lesson cannot be used: where, why and the mend."""


class Lesson(Strict):
    request: Name
    data: DataSource
    partition: PartitionKind
    circumstances: Annotated[tuple[Circumstance, ...], Field(max_length=24)] = ()
    architecture: Architecture
    clients: Annotated[int, Field(ge=2, le=1000)]
    rounds: Annotated[int, Field(ge=2, le=2000)]
    participation: Share
    method: Word
    parts: Annotated[tuple[Word, ...], Field(max_length=32)] = ()
    own_slots: Annotated[tuple[Word, ...], Field(max_length=32)] = ()
    """Slots whose part was written for it and is none of the catalogue's."""
    hyperparameters: Annotated[dict[Word, float], Field(max_length=32)] = Field(default_factory=dict)
    metric: Metric
    scope: Scope = Scope.GLOBAL
    verdict: Verdict
    value: float | None = None
    """Of the metric, where it was measured."""
    baseline: float | None = None
    """FedAvg's, tuned alike."""
    failed_check: Word | None = None
    """The contract test that it did not pass."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        known = catalogue()
        for field, said, allowed in (
            ("method", (self.method,), known.methods),
            ("parts", self.parts, known.parts),
            ("ownSlots", self.own_slots, SLOTS),
            ("hyperparameters", self.hyperparameters, known.hyperparameters),
            ("failedCheck", (self.failed_check,) if self.failed_check else (), CHECKS),
        ):
            if odd := sorted(set(said) - set(allowed)):
                raise ValueError(
                    f"{field} has {', '.join(odd)}, which nobody knows; choose among {', '.join(sorted(allowed))}"
                )
        return self

    @property
    def id(self) -> str:
        """The same lesson has the same id, so that adding it again changes nothing."""
        return f"lesson/{digest_of(canonical(self.to_wire())).removeprefix('sha256:')[:16]}"

    @property
    def entry(self) -> Entry:
        names = tuple(str(one) for one in self.circumstances)
        return Entry(
            id=self.id,
            kind=Kind.LESSON,
            title=f"{catalogue().methods[self.method].name} on {self._data}: {_EFFECTS[self.verdict]}",
            text=f"{self._effect}\n\n{self._task}",
            details=", ".join(f"{name} {value:g}" for name, value in sorted(self.hyperparameters.items())),
            source=f"request {self.request}",
            facets=Facets(
                families=families_for(names),
                slots=tuple(sorted({*self.own_slots, *(catalogue().parts[part].slot for part in self.parts)})),
                purposes=names,
            ),
        )

    @property
    def _data(self) -> str:
        return "data of the user's own" if self.data is DataSource.ENTRY_POINT else words(self.data)

    @property
    def _task(self) -> str:
        kind = ", ".join(words(one) for one in self.circumstances) or "nothing out of the ordinary"
        return (
            f"The task: {self._data}, split {words(self.partition)}, {self.clients} clients, {self.participation:.0%} of them a round, "
            f"{self.rounds} rounds, a model of kind {self.architecture}. What held: {kind}."
        )

    @property
    def _effect(self) -> str:
        own = [f"a part of its own for {slot}" for slot in self.own_slots]
        tried = f"Tried: {catalogue().methods[self.method].name} with {', '.join([*self.parts, *own]) or 'neutral parts alone'}."
        check = f" at the check {self.failed_check}" if self.failed_check else ""
        return f"{tried} It {_EFFECTS[self.verdict]}{check}.{self._figures}"

    @property
    def _figures(self) -> str:
        if self.value is None:
            return ""
        beside = "" if self.baseline is None else f", tuned FedAvg {self.baseline:.4g}"
        return f" {words(self.metric).capitalize()}, {words(self.scope)}: {self.value:.4g}{beside}."


_EFFECTS = {
    Verdict.WON: "won",
    Verdict.BETTER: "did better than FedAvg and did not win",
    Verdict.LEVEL: "did as well as FedAvg",
    Verdict.WORSE: "did worse than FedAvg",
    Verdict.FAILED: "did not work",
}


# -- from a finished request ------------------------------------------------------------------------------------------
def lessons_of(
    request: str,
    spec: RequestSpec,
    facts: DataFacts,
    model: ModelSpec,
    outcomes: Sequence[CandidateOutcome],
    winner: str | None = None,
) -> tuple[Lesson, ...]:
    """A lesson for each candidate that was scored or failed by its own fault; `winner` is a candidate's name."""
    held = tuple(circumstances(facts, spec, model))
    baseline = next((one.score for one in outcomes if one.method == "fedavg" and not one.parts), None)
    return tuple(
        _lesson(request, spec, model, held, one, baseline, winner)
        for one in outcomes
        if one.method in catalogue().methods and (one.score is not None or one.phase == CandidatePhase.REJECTED)
    )


def lessons_of_report(report: ReportInput) -> tuple[Lesson, ...]:
    """Of a request's findings, as its report tells them."""
    outcomes = [one.outcome for one in report.candidates]
    winner = report.decision.winner if report.decision else None
    return lessons_of(report.request, report.spec, report.facts, report.plan.model, outcomes, winner)


def _lesson(
    request: str,
    spec: RequestSpec,
    model: ModelSpec,
    held: tuple[Circumstance, ...],
    one: CandidateOutcome,
    baseline: float | None,
    winner: str | None,
) -> Lesson:
    known = catalogue()
    task, objective = spec.task, spec.objective
    return Lesson(
        request=request,
        data=task.data.source,
        partition=task.partition.kind,
        circumstances=held,
        architecture=model.architecture,
        clients=task.clients,
        rounds=task.training.rounds,
        participation=task.training.participation,
        method=one.method,
        parts=tuple(part.name for part in one.parts if part.name in known.parts),
        own_slots=tuple(part.slot for part in one.parts if part.name not in known.parts and part.slot in SLOTS),
        hyperparameters={name: value for name, value in one.best.items() if name in known.hyperparameters},
        metric=objective.metric,
        scope=objective.scope,
        verdict=Verdict.WON if one.name == winner else _verdict(objective.metric, one.score, baseline),
        value=one.score,
        baseline=baseline,
        failed_check=_failed_check(one),
    )


def _failed_check(one: CandidateOutcome) -> str | None:
    """The check that its end names first; anything else there is somebody's sentence."""
    named = one.reason.partition(":")[0]
    return named if one.phase == CandidatePhase.REJECTED and named in CHECKS else None


def _verdict(metric: Metric, value: float | None, baseline: float | None) -> Verdict:
    if value is None:
        return Verdict.FAILED
    if baseline is None:
        return Verdict.LEVEL
    gain = (value - baseline) * (1 if metric.higher_is_better else -1)
    noise = NOISE * (1.0 if metric in SHARES else abs(baseline))
    return Verdict.LEVEL if abs(gain) <= noise else Verdict.BETTER if gain > 0 else Verdict.WORSE


# -- the file ---------------------------------------------------------------------------------------------------------
def add_lessons(path: Path, lessons: Iterable[Lesson]) -> int:
    """Appends those that the file does not have yet, and says how many. Raises LessonsError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _drop_half_line(file)
            known = (line_of(one.to_wire()) for one in read_lessons(path))
            fresh = unknown(known, (line_of(one.to_wire()) for one in lessons))
            file.write(b"".join(fresh))
    except OSError as error:
        raise LessonsError(f"{path} cannot be written ({error.strerror}); name another file") from error
    return len(fresh)


def _drop_half_line(file: IO[bytes]) -> None:
    """A crash while writing may have left one, which would keep everyone out."""
    file.seek(0)
    data = file.read(GREATEST)
    if data and not data.endswith(b"\n") and len(data) < GREATEST:
        file.truncate(data.rfind(b"\n") + 1)


def read_lessons(path: Path) -> tuple[Lesson, ...]:
    """All lessons of a file, one JSON object a line; none where there is no file. Raises LessonsError."""
    lines = enumerate(_lines(path), start=1)
    return tuple(lesson_from(line, f"{path}:{number}") for number, line in lines if line.strip())


def _lines(path: Path) -> list[str]:
    try:
        if not path.exists():
            return []
        if path.stat().st_size > GREATEST:
            raise LessonsError(f"{path} has more than {GREATEST} bytes; keep the lessons that matter")
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LessonsError(f"{path} cannot be read ({error}); give JSON lines in UTF-8") from error


def usable_lessons(path: Path) -> tuple[Lesson, ...]:
    """The last of a file, as many as are searched, less those that this version cannot read: names may have gone since.

    Raises LessonsError for a file that cannot be read at all.
    """
    found = []
    for line in _lines(path)[-MOST_SEARCHED:]:
        with suppress(LessonsError):
            found.append(lesson_from(line, str(path)))
    return tuple(found)


def lesson_from(text: str, place: str) -> Lesson:
    """A lesson out of JSON. Raises LessonsError that names the place, the field and the reason."""
    try:
        return Lesson.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(one) for one in first["loc"]) or "lesson"
        raise LessonsError(f"{place}: {field}: {' '.join(first['msg'].split())}") from error
