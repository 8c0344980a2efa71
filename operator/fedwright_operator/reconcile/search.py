"""The search of a request: which candidates there are, how far each may go, who is a finalist.

Everything is derived anew from the plan, from finished work and from the candidates' own statuses, so a pass that is run
again grants the same. Only time moves a decision: when the budget for exploring is used up, what is not scored is stopped.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from fedwright_crds.base import Digest
from fedwright_crds.candidate import Candidate, CandidatePhase, CandidateSpec, Grant, GrantStage, Origin
from fedwright_crds.committee import top_k
from fedwright_crds.documents import (
    CandidateOutcome,
    DataFacts,
    Grade,
    Idea,
    ReflectInput,
    ReflectOutput,
    ReviewInput,
    ReviewOutput,
)
from fedwright_crds.documents import Plan as SearchPlan
from fedwright_crds.meta import Metadata, OwnerReference
from fedwright_crds.request import Budgets, FLStrategyRequest, RequestSpec
from fedwright_crds.work import BoxKind, WorkResult
from fedwright_operator.reconcile import works
from fedwright_operator.reconcile.cascade import Mark, on_plateau, ranked, survivors, ties, violation
from fedwright_operator.reconcile.conditions import condition
from fedwright_operator.reconcile.desk import Desk, GaveUp

FINALISTS = 2
"""More would cost the correction for several tests more than a third candidate is likely to bring."""
LEAST_SURVIVORS = 2 * FINALISTS
"""So many go on to the full length whatever the first rung says: it is short, and an objective without noise has no band."""
EXPLORING_SHARE = 0.6
"""Of the wall-clock budget; the rest is for the finalists, the rollout and the report."""
BASELINE = "fedavg"

Status = Mapping[str, Candidate]


@dataclass(frozen=True)
class Search:
    """What exploring depends on."""

    request: FLStrategyRequest
    plan: SearchPlan
    facts: DataFacts
    images: Mapping[BoxKind, Digest]
    candidates: tuple[Candidate, ...]
    now: datetime
    desk: Desk

    @property
    def spec(self) -> RequestSpec:
        return self.request.spec

    @property
    def by_name(self) -> Status:
        return {one.metadata.name: one for one in self.candidates}


@dataclass
class Exploration:
    candidates: list[Candidate] = field(default_factory=list)
    """As they should be, grants included."""
    generation: int = 0
    done: bool = False
    failed: str = ""


def explore(search: Search) -> Exploration:
    """Generation 0 is the plan's; each later one is proposed, reviewed and let through. Stops at the first that is not settled."""
    outcome = Exploration()
    exhausted = _exhausted(search)
    best: list[float | None] = []
    for generation in range(search.spec.search.generations + 1):
        cohort = _first_cohort(search) if generation == 0 else _next_cohort(search, generation, exhausted)
        if cohort is None:
            return outcome
        outcome.generation = generation if cohort else outcome.generation
        outcome.candidates += _granted(search, cohort, exhausted)
        if not all(_settled(search, one) for one in cohort):
            return outcome
        best.append(_best_score(search, cohort))
        if exhausted or not cohort or on_plateau(best, _higher(search.spec), search.spec.search.plateau):
            break
    outcome.done = True
    if baseline_name(search.request) not in _scored(search.spec, search.candidates):
        outcome.failed = f"FedAvg, which every candidate is compared with, could not be judged: {_why(search)}"
    return outcome


# -- cohorts ----------------------------------------------------------------------------------------------------------
def _first_cohort(search: Search) -> list[Candidate]:
    request = search.request.metadata.name
    baselines = [
        _candidate(search, f"{request}-{idea.method}", idea, Origin.BASELINE, 0) for idea in search.plan.baselines
    ]
    planned = [
        _candidate(search, f"{request}-p{number}", idea, Origin.PLAN, 0)
        for number, idea in enumerate(search.plan.candidates, 1)
    ]
    # Within the budget, FedAvg and the planned candidates come before further baselines.
    affordable = [*baselines[:1], *planned, *baselines[1:]][: search.spec.budgets.candidates]
    return sorted(
        affordable,
        key=lambda one: (
            one.spec.origin is not Origin.BASELINE,
            one.metadata.name != baseline_name(search.request),
        ),
    )


def _next_cohort(search: Search, generation: int, exhausted: str) -> list[Candidate] | None:
    """Proposals of the reflector, the best k of them let through by the committee. None: not known yet."""
    if exhausted:
        return [one for one in search.candidates if one.spec.generation == generation]
    earlier = [one for one in search.candidates if one.spec.generation < generation]
    room = search.spec.budgets.candidates - sum(
        one.spec.grant.stage is not GrantStage.STOP or bool(one.status.trials) for one in earlier
    )
    wanted = min(search.spec.search.proposals, 64)
    if room <= 0 or not wanted:
        return []
    proposals = _proposals(search, generation, wanted, earlier)
    if proposals is None:
        return None
    chosen = _reviewed(search, proposals, earlier, min(search.spec.search.top_k, room))
    if chosen is None:
        return None
    name = search.request.metadata.name
    return [
        _candidate(
            search,
            f"{name}-g{generation}-{number}",
            idea,
            Origin.PROPOSAL,
            generation,
            selected=number - 1 in chosen,
        )
        for number, idea in enumerate(proposals, 1)
    ]


def _proposals(search: Search, generation: int, wanted: int, earlier: Sequence[Candidate]) -> tuple[Idea, ...] | None:
    document = ReflectInput(
        request=search.request.metadata.name,
        spec=minds_view(search.spec),
        facts=search.facts,
        plan=search.plan,
        generation=generation,
        proposals=wanted,
        outcomes=outcomes(earlier),
    )
    work = works.mind_work(
        "reflect", search.spec.minds.reflector, search.desk.put("reflect-input.json", document), search.images
    )
    result = search.desk.result(work)
    if result is None:
        return None
    try:
        return search.desk.document(ReflectOutput, result, "reflect.json").proposals[:wanted]
    except GaveUp:
        return ()  # a mind that fails to propose ends the search, not the request


def _reviewed(
    search: Search, proposals: tuple[Idea, ...], earlier: Sequence[Candidate], k: int
) -> frozenset[int] | None:
    grades = reviews(search, proposals, earlier)
    return None if grades is None else frozenset(top_k(grades, len(proposals), k))


def reviews(
    search: Search, proposals: tuple[Idea, ...], earlier: Sequence[Candidate]
) -> list[tuple[Grade, ...]] | None:
    """Each reviewer's grades. A reviewer that fails is left out."""
    spec = search.spec
    profiles = spec.minds.reviewers or ("catalogue",) * spec.review.members
    orders = [
        ReviewInput(
            spec=minds_view(spec),
            facts=search.facts,
            criteria=search.plan.criteria,
            proposals=tuple(one.model_copy(update={"parent": None}) for one in proposals),
            reviewer=number,
            seed=spec.judging.seed,
            outcomes=outcomes(earlier),
        )
        for number in range(len(profiles))
    ]
    results = [
        search.desk.result(
            works.mind_work("review", profile, search.desk.put("review-input.json", order), search.images)
        )
        for profile, order in zip(profiles, orders, strict=True)
    ]
    if any(one is None for one in results):
        return None
    return [grades for one in results if one is not None and (grades := _grades(search.desk, one)) is not None]


def _grades(desk: Desk, result: WorkResult) -> tuple[Grade, ...] | None:
    try:
        return desk.document(ReviewOutput, result, "review.json").grades
    except GaveUp:
        return None


def _candidate(
    search: Search, name: str, idea: Idea, origin: Origin, generation: int, *, selected: bool = True
) -> Candidate:
    """A candidate as it should be, before grants; the status is what was observed of it."""
    request = search.request.metadata
    known = search.by_name.get(name)
    owner = OwnerReference(
        api_version=search.request.api_version,
        kind=search.request.kind,
        name=request.name,
        uid=request.uid or "",
    )
    grant = (
        Grant(stage=GrantStage.EXPLORE)
        if selected
        else Grant(stage=GrantStage.STOP, reason="not among the committee's best")
    )
    spec = CandidateSpec(
        request=request.name,
        parent=idea.parent,
        origin=origin,
        generation=generation,
        method=idea.method,
        title=idea.title,
        hypothesis=idea.hypothesis,
        parts=idea.parts,
        hyperparameters=idea.hyperparameters,
        fixed=idea.fixed,
        salt=idea.salt,
        grant=grant,
    )
    if known:
        return known.model_copy(update={"spec": spec})
    labels = {"fedwright.dev/request": request.name[:63]}
    return Candidate(
        metadata=Metadata(name=name, namespace=request.namespace, labels=labels, owner_references=(owner,)),
        spec=spec,
    )


# -- grants -----------------------------------------------------------------------------------------------------------
def _granted(search: Search, cohort: list[Candidate], exhausted: str) -> list[Candidate]:
    """The cohort with each member's grant: on to the full length for those within the noise of the best first rung."""
    baseline = baseline_name(search.request)
    active = [one for one in cohort if one.spec.grant.stage is not GrantStage.STOP]
    passed = _through_first_rung(search, active)
    return [one if one not in active else _with_grant(one, _grant(one, passed, exhausted, baseline)) for one in cohort]


def _through_first_rung(search: Search, active: list[Candidate]) -> frozenset[str] | None:
    """Names that go on, or None while someone is still in the first rung."""
    if not all(_settled(search, one) or one.status.first_rung_scores for one in active):
        return None
    upto = max((one.spec.generation for one in active), default=0)
    seen = [one for one in search.candidates if one.status.first_rung_scores and one.spec.generation <= upto]
    marks = {one.metadata.name: _first_rung_mark(search, one) for one in seen}
    scores = {one.metadata.name: one.status.first_rung_scores for one in seen}
    higher = _higher(search.spec)
    catalogue = ranked(
        {one.metadata.name: marks[one.metadata.name] for one in seen if _is_catalogue(one, search.request)},
        higher,
    )
    return survivors(scores, marks, higher, LEAST_SURVIVORS) | frozenset(catalogue[:1])


def _first_rung_mark(search: Search, one: Candidate) -> Mark:
    constraints, values = search.spec.constraints, one.status.first_rung_constrained
    baseline = search.by_name.get(baseline_name(search.request))
    reference = baseline.status.first_rung_constrained if baseline else {}
    return Mark(
        one.status.first_rung_score or 0.0,
        violation(values, reference, constraints),
        ties(values, constraints),
    )


def _grant(one: Candidate, passed: frozenset[str] | None, exhausted: str, baseline: str) -> Grant:
    if exhausted and one.metadata.name != baseline and one.status.phase is not CandidatePhase.SCORED:
        return Grant(stage=GrantStage.STOP, reason=exhausted)
    if passed is None:
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


def stopped(candidates: Iterable[Candidate], reason: str) -> list[Candidate]:
    """All that still run, told to stop."""
    grant = Grant(stage=GrantStage.STOP, reason=reason)
    return [_with_grant(one, grant) for one in candidates if not one.status.phase.terminal]


def _exhausted(search: Search) -> str:
    """Why exploring must end now, or nothing."""
    budgets, status = search.spec.budgets, search.request.status
    if status.started_at:
        elapsed = (search.now - datetime.fromisoformat(status.started_at)).total_seconds()
        if elapsed > EXPLORING_SHARE * budgets.wall_seconds:
            return f"budgets.wallSeconds: {EXPLORING_SHARE:.0%} of {budgets.wall_seconds} s were used"
    final = search.spec.task.training.rounds * search.spec.judging.fresh_seeds * (FINALISTS + 2)
    if sum(one.status.spent.simulated_rounds for one in search.candidates) + final > budgets.simulated_rounds:
        return f"budgets.simulatedRounds: what is left of {budgets.simulated_rounds} is kept for the finalists"
    return ""


# -- finalists --------------------------------------------------------------------------------------------------------
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
    baseline, higher = baseline_name(request), _higher(request.spec)
    by_name = {one.metadata.name: one for one in candidates}
    order = [name for name in ranked(_scored(request.spec, candidates), higher) if name != baseline]
    catalogue = next((name for name in order if _is_catalogue(by_name[name], request)), None)
    chosen = Choice(baseline, catalogue, tuple(order[:FINALISTS]), ready=False)
    return replace(chosen, ready=all(by_name[name].status.finals for name in chosen.all))


def best(spec: RequestSpec, candidates: Sequence[Candidate]) -> Candidate | None:
    names = ranked(_scored(spec, candidates), _higher(spec))
    return next((one for one in candidates if names and one.metadata.name == names[0]), None)


# -- small things -----------------------------------------------------------------------------------------------------
def baseline_name(request: FLStrategyRequest) -> str:
    return f"{request.metadata.name}-{BASELINE}"


def _is_catalogue(one: Candidate, request: FLStrategyRequest) -> bool:
    return one.spec.origin is Origin.BASELINE and one.metadata.name != baseline_name(request)


def _scored(spec: RequestSpec, candidates: Iterable[Candidate]) -> dict[str, Mark]:
    return {
        one.metadata.name: Mark(one.status.score, one.status.violation, ties(one.status.measures, spec.constraints))
        for one in candidates
        if one.status.phase is CandidatePhase.SCORED and one.status.score is not None
    }


def _settled(search: Search, one: Candidate) -> bool:
    known = search.by_name.get(one.metadata.name)
    return known is not None and known.status.phase.terminal


def _best_score(search: Search, cohort: Sequence[Candidate]) -> float | None:
    names = {one.metadata.name for one in cohort}
    marks = {
        name: mark
        for name, mark in _scored(search.spec, search.candidates).items()
        if name in names and not mark.violation
    }
    order = ranked(marks, _higher(search.spec))
    return marks[order[0]].value if order else None


def _higher(spec: RequestSpec) -> bool:
    return spec.objective.metric.higher_is_better


def _why(search: Search) -> str:
    baseline = search.by_name.get(baseline_name(search.request))
    scored = condition(baseline.status.conditions, "Finished") if baseline else None
    return scored.message if scored else "it is not there"


def minds_view(spec: RequestSpec) -> RequestSpec:
    """The spec without what a person may change on the way, so that such a change asks no mind again."""
    return spec.model_copy(
        update={"answers": (), "approvals": (), "abort": False, "retry_token": "", "budgets": Budgets()}
    )


def outcomes(candidates: Iterable[Candidate]) -> tuple[CandidateOutcome, ...]:
    """What minds may see of candidates: figures of the selection split only."""
    return tuple(outcome(one) for one in sorted(candidates, key=lambda one: (one.spec.generation, one.metadata.name)))


def outcome(one: Candidate) -> CandidateOutcome:
    finished = condition(one.status.conditions, "Finished")
    return CandidateOutcome(
        name=one.metadata.name,
        title=one.spec.title,
        origin=one.spec.origin,
        method=one.spec.method,
        parts=one.spec.parts,
        hyperparameters=one.spec.hyperparameters,
        fixed=one.spec.fixed,
        hypothesis=one.spec.hypothesis,
        phase=str(one.status.phase),
        reason=(finished.message or finished.reason)[:1024] if finished else "",
        score=one.status.score,
        measures=one.status.measures,
        best=one.status.best,
    )
