"""How candidates stand: their marks on the selection split, the final's line-up, and what minds and people may see of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fedwright_crds.candidate import Candidate, CandidatePhase, Grant, GrantStage, Origin
from fedwright_crds.documents import CandidateOutcome
from fedwright_crds.request import Budgets, FLStrategyRequest, Minds, RequestSpec
from fedwright_operator.reconcile.cascade import Mark, ranked, ties
from fedwright_operator.reconcile.conditions import condition

FINALISTS = 2
"""More would cost the correction for several tests more than a third candidate is likely to bring."""
BASELINE = "fedavg"


def baseline_name(request: FLStrategyRequest) -> str:
    return f"{request.metadata.name}-{BASELINE}"


def is_catalogue(one: Candidate, request: FLStrategyRequest) -> bool:
    return one.spec.origin is Origin.BASELINE and one.metadata.name != baseline_name(request)


def simplest_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The order that decides between equals: what was there earlier, and plain methods before compositions of them."""
    return sorted(
        candidates, key=lambda one: (one.spec.generation, one.spec.origin is not Origin.BASELINE, one.metadata.name)
    )


def scored(spec: RequestSpec, candidates: Iterable[Candidate]) -> dict[str, Mark]:
    return {
        one.metadata.name: Mark(one.status.score, one.status.violation, ties(one.status.measures, spec.constraints))
        for one in simplest_first(candidates)
        if one.status.phase is CandidatePhase.SCORED and one.status.score is not None
    }


def higher_is_better(spec: RequestSpec) -> bool:
    return spec.objective.metric.higher_is_better


@dataclass(frozen=True)
class Choice:
    """Who stands in the final: FedAvg, the best catalogue method, and at most two finalists."""

    baseline: str
    catalogue: str | None
    finalists: tuple[str, ...]
    ready: bool

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([self.baseline, *([self.catalogue] if self.catalogue else []), *self.finalists]))

    @property
    def granted(self) -> dict[str, Grant]:
        return dict.fromkeys(self.all, Grant(stage=GrantStage.FINAL))


def finalists(request: FLStrategyRequest, candidates: Sequence[Candidate]) -> Choice:
    """The best scores of the selection split. One that proves not to be federated loses its place to the next."""
    baseline, higher = baseline_name(request), higher_is_better(request.spec)
    by_name = {one.metadata.name: one for one in candidates}
    order = [name for name in ranked(scored(request.spec, candidates), higher) if name != baseline]
    catalogue = next((name for name in order if is_catalogue(by_name[name], request)), None)
    # One that measures just as FedAvg is FedAvg; where there is no other, the best of them shows it in the final.
    distinct = _distinct(order, by_name, baseline) or order[:1]
    chosen = Choice(baseline, catalogue, tuple(distinct[:FINALISTS]), ready=False)
    return replace(chosen, ready=all(by_name[name].status.finals for name in chosen.all))


def _distinct(order: Sequence[str], by_name: Mapping[str, Candidate], baseline: str) -> list[str]:
    """Without those that measure exactly as the baseline or an earlier one: another name makes no other strategy."""
    seen = [by_name[baseline].status.measures] if baseline in by_name else []
    kept = []
    for name in order:
        measures = by_name[name].status.measures
        if measures not in seen:
            seen.append(measures)
            kept.append(name)
    return kept


def best(spec: RequestSpec, candidates: Sequence[Candidate]) -> Candidate | None:
    names = ranked(scored(spec, candidates), higher_is_better(spec))
    return next((one for one in candidates if names and one.metadata.name == names[0]), None)


def minds_view(spec: RequestSpec) -> RequestSpec:
    """The spec without what a person may change on the way, so that such a change asks no mind again; nor who stands
    behind which role, which is no mind's to know."""
    hidden = {"answers": (), "approvals": (), "abort": False, "retry_token": "", "budgets": Budgets(), "minds": Minds()}
    return spec.model_copy(update=hidden)


def outcomes(candidates: Iterable[Candidate]) -> tuple[CandidateOutcome, ...]:
    """What minds may see of candidates: figures of the selection split only, and nothing of the final.

    What a candidate is once it has a score stays: a later end would change what a mind was asked, and so ask it again.
    """
    order = sorted(candidates, key=lambda one: (one.spec.generation, one.metadata.name))
    return tuple(_before_the_final(one, outcome(one)) for one in order)


def _before_the_final(one: Candidate, seen: CandidateOutcome) -> CandidateOutcome:
    if one.status.score is None:
        return seen
    return seen.model_copy(update={"phase": str(CandidatePhase.SCORED), "reason": ""})


def outcome(one: Candidate) -> CandidateOutcome:
    return CandidateOutcome(
        name=one.metadata.name,
        title=one.spec.title,
        origin=one.spec.origin,
        method=one.spec.method,
        parts=one.spec.parts,
        hyperparameters=one.spec.hyperparameters,
        fixed=one.spec.fixed,
        hypothesis=one.spec.hypothesis,
        deviation=one.status.deviation,
        phase=str(one.status.phase),
        reason=_end_in_words(one)[:1024],
        score=one.status.score,
        measures=one.status.measures,
        curve=one.status.curve,
        best=one.status.best,
        trials=one.status.trials,
    )


def _end_in_words(one: Candidate) -> str:
    if one.status.phase is CandidatePhase.SCORED and not one.status.finals:
        return "scored on the selection split, but not among the finalists"
    finished = condition(one.status.conditions, "Finished")
    return (finished.message or finished.reason) if finished else ""
