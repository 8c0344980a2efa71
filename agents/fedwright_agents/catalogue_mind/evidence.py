"""What outcomes say of methods and parts: how far above or below FedAvg, in spreads, on the selection split alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from fedwright_agents.catalogue_mind.ideas import NoSuchIdeaError, composition_of
from fedwright_crds.documents import CandidateOutcome
from fedwright_crds.request import Constraint, RequestSpec
from fedwright_crds.task import Metric
from fedwright_federation.catalogue import Catalogue, Composition

FAILED = -1.0
"""The mark of a candidate that does not run."""
BROKEN = frozenset({"Rejected", "Failed"})


@dataclass(frozen=True)
class Evidence:
    """Marks of candidates in [-1, 1], FedAvg's being 0, by candidate and by part."""

    candidates: dict[str, float]
    parts: dict[str, float]
    within: frozenset[str]
    """Candidates that hold every constraint, as far as it was measured."""

    def of(self, composition: Composition) -> float:
        """Mean mark of the composition's parts that were tried; 0 where none was."""
        marks = [self.parts[name] for name in composition.parts if name in self.parts]
        return fmean(marks) if marks else 0.0


def gather(known: Catalogue, spec: RequestSpec, outcomes: Sequence[CandidateOutcome]) -> Evidence:
    """Marks from what was scored; parts are marked by the mean of the candidates that have them."""
    marks = _marks(spec, outcomes)
    by_part: dict[str, list[float]] = {}
    for one in outcomes:
        if one.name in marks:
            for part in _own_parts(known, one):
                by_part.setdefault(part, []).append(marks[one.name])
    return Evidence(marks, {part: fmean(found) for part, found in by_part.items()}, _within(spec, outcomes))


def baseline(outcomes: Sequence[CandidateOutcome]) -> CandidateOutcome | None:
    """FedAvg as a baseline, once it is scored."""
    return next((one for one in outcomes if _is_baseline(one) and one.score is not None), None)


def scored(outcomes: Sequence[CandidateOutcome]) -> list[CandidateOutcome]:
    return [one for one in outcomes if one.score is not None]


def improves(spec: RequestSpec) -> float:
    """1 where a greater objective is better, else -1."""
    return 1.0 if spec.objective.metric.higher_is_better else -1.0


def _marks(spec: RequestSpec, outcomes: Sequence[CandidateOutcome]) -> dict[str, float]:
    values = {one.name: one.score for one in outcomes if one.score is not None}
    first = baseline(outcomes)
    zero = first.score if first and first.score is not None else fmean(values.values()) if values else 0.0
    spread = pstdev(values.values()) or 1.0 if values else 1.0
    within = _within(spec, outcomes)
    marks = {name: _squashed(improves(spec) * (value - zero) / spread) for name, value in values.items()}
    marks |= {name: min(mark, FAILED / 2) for name, mark in marks.items() if name not in within}
    return marks | {one.name: FAILED for one in outcomes if one.phase in BROKEN}


def _squashed(value: float) -> float:
    return max(-1.0, min(1.0, value / 2))


def _within(spec: RequestSpec, outcomes: Sequence[CandidateOutcome]) -> frozenset[str]:
    first = baseline(outcomes)
    reference = first.measures if first else {}
    return frozenset(one.name for one in outcomes if all(_holds(one, reference, each) for each in spec.constraints))


def _holds(one: CandidateOutcome, reference: dict[str, float], constraint: Constraint) -> bool:
    name = f"{constraint.metric}/{constraint.scope}"
    if name not in one.measures or name not in reference:
        return True
    sign = 1.0 if Metric(constraint.metric).higher_is_better else -1.0
    return sign * (one.measures[name] - reference[name]) >= -constraint.margin


def _own_parts(known: Catalogue, one: CandidateOutcome) -> tuple[str, ...]:
    """Parts that FedAvg does not have."""
    try:
        parts = composition_of(known, one.method, one.parts, one.fixed).parts
    except NoSuchIdeaError:
        return ()
    return tuple(name for name in parts if not known.part(name).neutral)


def _is_baseline(one: CandidateOutcome) -> bool:
    return one.method == "fedavg" and not one.parts and one.origin == "Baseline"
