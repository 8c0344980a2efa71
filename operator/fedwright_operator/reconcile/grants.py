"""How far each candidate of a cohort may go: on to full length, or stopped by the first rung or by a budget."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from fedwright_crds.candidate import Candidate, CandidatePhase, Grant, GrantStage
from fedwright_crds.request import FLStrategyRequest
from fedwright_operator.reconcile.cascade import Mark, ranked, survivors, ties, violation
from fedwright_operator.reconcile.standings import (
    FINALISTS,
    baseline_name,
    higher_is_better,
    is_catalogue,
    simplest_first,
)

LEAST_SURVIVORS = 2 * FINALISTS
"""So many go on to the full length whatever the first rung says: it is short, and an objective without noise has no band."""
EXPLORING_SHARE = 0.6
"""Of the wall-clock budget; the rest is for the finalists, the rollout and the report."""


def granted(
    request: FLStrategyRequest, candidates: Sequence[Candidate], cohort: Sequence[Candidate], exhausted: str
) -> list[Candidate]:
    """The cohort with each member's grant: on to the full length for those within the noise of the best first rung."""
    baseline = baseline_name(request)
    active = [one for one in cohort if one.spec.grant.stage is not GrantStage.STOP]
    passed = _through_first_rung(request, candidates, active)
    return [_with_grant(one, _grant(one, passed, exhausted, baseline)) if one in active else one for one in cohort]


def _through_first_rung(
    request: FLStrategyRequest, candidates: Sequence[Candidate], active: Sequence[Candidate]
) -> frozenset[str] | None:
    """Names that go on, or None while someone is still in the first rung."""
    if not all(one.settled or one.status.first_rung_scores for one in active):
        return None
    upto = max((one.spec.generation for one in active), default=0)
    begun = [one for one in simplest_first(candidates) if one.status.first_rung_scores and one.spec.generation <= upto]
    seen = {one.metadata.name: one for one in begun}
    marks = _first_rung_marks(request, candidates, seen)
    scores = {name: one.status.first_rung_scores for name, one in seen.items()}
    higher = higher_is_better(request.spec)
    catalogue = {name: mark for name, mark in marks.items() if is_catalogue(seen[name], request)}
    return survivors(scores, marks, higher, LEAST_SURVIVORS) | frozenset(ranked(catalogue, higher)[:1])


def _first_rung_marks(
    request: FLStrategyRequest, candidates: Sequence[Candidate], seen: Mapping[str, Candidate]
) -> dict[str, Mark]:
    constraints, baseline = request.spec.constraints, baseline_name(request)
    reference = next((one.status.first_rung_constrained for one in candidates if one.metadata.name == baseline), {})
    return {
        name: Mark(
            one.status.first_rung_score or 0.0,
            violation(one.status.first_rung_constrained, reference, constraints),
            ties(one.status.first_rung_constrained, constraints),
        )
        for name, one in seen.items()
    }


def _grant(one: Candidate, passed: frozenset[str] | None, exhausted: str, baseline: str) -> Grant:
    if exhausted and one.metadata.name != baseline and one.status.phase is not CandidatePhase.SCORED:
        return Grant(stage=GrantStage.STOP, reason=exhausted)
    if passed is None or one.spec.grant.stage is GrantStage.FINAL:
        return one.spec.grant
    if one.metadata.name in passed or one.metadata.name == baseline:
        return Grant(stage=GrantStage.JUDGE)
    return Grant(stage=GrantStage.STOP, reason="outside the noise band below the best after the first rung")


def _with_grant(one: Candidate, grant: Grant) -> Candidate:
    return one.model_copy(update={"spec": one.spec.model_copy(update={"grant": grant})})


def with_grants(candidates: Iterable[object], granted: Mapping[str, Grant]) -> list[Candidate]:
    """The same candidates with later grants in place."""
    return [
        _with_grant(one, granted[one.metadata.name]) if one.metadata.name in granted else one
        for one in candidates
        if isinstance(one, Candidate)
    ]


def exhausted(request: FLStrategyRequest, candidates: Sequence[Candidate], now: datetime) -> str:
    """Why exploring must end now, or nothing."""
    spec, budgets = request.spec, request.spec.budgets
    if request.status.started_at:
        elapsed = (now - datetime.fromisoformat(request.status.started_at)).total_seconds()
        if elapsed > EXPLORING_SHARE * budgets.wall_seconds:
            return f"budgets.wallSeconds: {EXPLORING_SHARE:.0%} of {budgets.wall_seconds} s were used"
    final = spec.task.training.rounds * spec.judging.fresh_seeds * (2 * FINALISTS + 3)
    if sum(one.status.spent.simulated_rounds for one in candidates) + final > budgets.simulated_rounds:
        return f"budgets.simulatedRounds: what is left of {budgets.simulated_rounds} is kept for the finalists"
    return ""
