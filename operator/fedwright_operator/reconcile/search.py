"""The search of a request: which candidates there are, how far each may go, who is a finalist.

Everything is derived anew from the plan, from finished work and from the candidates' own statuses, so a pass that is run
again grants the same. Only time moves a decision: when the budget for exploring is used up, what is not scored is stopped.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime

from fedwright_crds.base import Digest
from fedwright_crds.candidate import Candidate, CandidateSpec, Grant, GrantStage, Origin
from fedwright_crds.committee import normalised, top_k
from fedwright_crds.documents import (
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
from fedwright_crds.request import FLStrategyRequest, RequestSpec
from fedwright_crds.work import BoxKind, WorkResult
from fedwright_operator.reconcile import works
from fedwright_operator.reconcile.cascade import on_plateau, ranked
from fedwright_operator.reconcile.conditions import condition
from fedwright_operator.reconcile.desk import Desk, GaveUp
from fedwright_operator.reconcile.grants import exhausted, granted
from fedwright_operator.reconcile.standings import baseline_name, higher_is_better, minds_view, outcomes, scored


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
    def by_name(self) -> Mapping[str, Candidate]:
        return {one.metadata.name: one for one in self.candidates}


@dataclass
class Exploration:
    candidates: list[Candidate] = field(default_factory=list)
    """As they should be, grants included."""
    generation: int = 0
    grades: dict[str, tuple[Grade, ...]] = field(default_factory=dict)
    """The committee's, by candidate."""
    done: bool = False
    failed: str = ""


def explore(search: Search) -> Exploration:
    """Generation 0 is the plan's; each later one is proposed, reviewed and let through. Stops at the first that is not settled."""
    outcome = Exploration()
    over = exhausted(search.request, search.candidates, search.now)
    best: list[float | None] = []
    for generation in range(search.spec.search.generations + 1):
        cohort = _first_cohort(search) if generation == 0 else _next_cohort(search, generation, over, outcome.grades)
        if cohort is None:
            return outcome
        outcome.generation = generation if cohort else outcome.generation
        outcome.candidates += granted(search.request, search.candidates, cohort, over)
        if not all(one.settled for one in cohort):
            return outcome
        best.append(_best_score(search, cohort))
        if over or not cohort or on_plateau(best, higher_is_better(search.spec), search.spec.search.plateau):
            break
    outcome.done = True
    if baseline_name(search.request) not in scored(search.spec, search.candidates):
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


def _next_cohort(
    search: Search, generation: int, over: str, grades: dict[str, tuple[Grade, ...]]
) -> list[Candidate] | None:
    """Proposals of the reflector, the best k of them let through by the committee. None: not known yet."""
    if over:
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
    reviews = _reviews(search, proposals, earlier)
    if reviews is None:
        return None
    chosen = top_k(reviews, len(proposals), min(search.spec.search.top_k, room))
    names = [f"{search.request.metadata.name}-g{generation}-{number}" for number in range(1, len(proposals) + 1)]
    for number, name in enumerate(names):
        grades[name] = tuple(grade for review in reviews for grade in review if grade.proposal == number)
    return [
        _candidate(search, name, idea, Origin.PROPOSAL, generation, selected=number in chosen)
        for number, (name, idea) in enumerate(zip(names, proposals, strict=True))
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


def _reviews(
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
            proposals=tuple(one.model_copy(update={"parent": None, "source": ""}) for one in proposals),
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
    asked = {(number, criterion) for number in range(len(proposals)) for criterion in search.plan.criteria}
    found = [_grades(search.desk, one) for one in results if one is not None]
    return [normalised(_one_each(grades, asked, member)) for member, grades in enumerate(found) if grades]


def _grades(desk: Desk, result: WorkResult) -> tuple[Grade, ...] | None:
    try:
        return desk.document(ReviewOutput, result, "review.json").grades
    except GaveUp:
        return None


def _one_each(grades: Sequence[Grade], asked: Set[tuple[int, str]], member: int) -> tuple[Grade, ...]:
    """One grade for each pair of a proposal and a criterion that was asked for: more of them would be more votes."""
    first: dict[tuple[int, str], Grade] = {}
    for grade in grades:
        if (pair := (grade.proposal, grade.dimension)) in asked:
            first.setdefault(pair, grade.model_copy(update={"reviewer": member}))
    return tuple(first.values())


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
        grant=known.spec.grant if known else grant,
    )
    if known:
        return known.model_copy(update={"spec": spec})
    labels = {"fedwright.dev/request": request.name}
    return Candidate(
        metadata=Metadata(name=name, namespace=request.namespace, labels=labels, owner_references=(owner,)),
        spec=spec,
    )


def _best_score(search: Search, cohort: Sequence[Candidate]) -> float | None:
    names = {one.metadata.name for one in cohort}
    marks = {
        name: mark
        for name, mark in scored(search.spec, search.candidates).items()
        if name in names and not mark.violation
    }
    order = ranked(marks, higher_is_better(search.spec))
    return marks[order[0]].value if order else None


def _why(search: Search) -> str:
    baseline = search.by_name.get(baseline_name(search.request))
    scored = condition(baseline.status.conditions, "Finished") if baseline else None
    return scored.message if scored else "it is not there"
