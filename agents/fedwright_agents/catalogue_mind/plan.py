"""The planner: asks what it cannot decide, then matches methods to the request and composes the first candidates."""

import re
from collections.abc import Sequence

from fedwright_agents.catalogue_mind.doubts import Doubts, doubts
from fedwright_agents.catalogue_mind.ideas import affordable, citations, idea
from fedwright_agents.catalogue_mind.variants import (
    Situation,
    Variant,
    as_idea,
    diverse,
    keys_of,
    untried,
    variants,
)
from fedwright_crds.documents import DataFacts, Idea, Plan, PlanInput, PlanOutput, Subtask
from fedwright_crds.request import PrivacyUnit, RequestSpec
from fedwright_crds.task import Architecture, ModelSpec
from fedwright_federation.catalogue import Catalogue, Circumstance, Match, catalogue, match
from fedwright_federation.catalogue.circumstances import STRONG_FEATURE_SHIFT

CRITERIA = ("novelty", "correctness", "testability")
BASES = 5
"""Best matching methods that compositions start from."""
LINEAR_INPUTS, LINEAR_CLASSES = 32, 2
"""Up to these, softmax regression is enough of a model."""
MOST_BASELINES = 17


def plan(asked: PlanInput) -> PlanOutput:
    """Questions first; with all of them answered, a plan."""
    known, spec = catalogue(), asked.spec
    doubt = doubts(known, spec, asked.answers)
    if doubt.questions:
        return PlanOutput(questions=doubt.questions)
    model = spec.model or choose_model(spec, asked.facts)
    at = Situation(known, asked.facts, spec, model)
    return PlanOutput(plan=_plan(at, doubt))


def choose_model(spec: RequestSpec, facts: DataFacts) -> ModelSpec:
    """Softmax regression for few inputs and two classes, else one hidden layer, normalised where clients' inputs differ.

    Not where each example is private: batch statistics mix them.
    """
    inputs = 1
    for size in facts.input_shape:
        inputs *= size
    if inputs <= LINEAR_INPUTS and facts.classes <= LINEAR_CLASSES:
        return ModelSpec(architecture=Architecture.SOFTMAX, hidden=())
    mixed = spec.privacy is not None and spec.privacy.unit is PrivacyUnit.EXAMPLE
    return ModelSpec(hidden=(32,), batch_norm=facts.feature_shift >= STRONG_FEATURE_SHIFT / 2 and not mixed)


def _plan(at: Situation, doubt: Doubts) -> Plan:
    legal = legal_matches(at, doubt)
    tuned, asked_for = baselines(at, legal), named(at, doubt)
    composed = _composed(at, legal, [*tuned, *asked_for], doubt)
    chosen = [*tuned, *asked_for, *composed]
    return Plan(
        summary=_summary(at, legal, doubt),
        model=at.model,
        baselines=tuple(tuned),
        candidates=(*asked_for, *composed),
        criteria=(*CRITERIA, *at.spec.review.criteria),
        subtasks=tuple(_subtask(one) for one in chosen),
        fallback="If no composition beats the best catalogue method, that method; if none beats FedAvg, FedAvg itself.",
        sources=sources(at.known, chosen),
        estimated_rounds=estimated_rounds(at.spec, len(chosen)),
    )


# -- what is tried ----------------------------------------------------------------------------------------------------
def legal_matches(at: Situation, doubt: Doubts) -> list[Match]:
    """Methods that may be tried, best first."""
    matches = [one for one in match(at.known, at.facts, at.spec, at.model) if doubt.allows(one.composition)]
    return [one for one in matches if not one.excluded]


def baselines(at: Situation, legal: Sequence[Match]) -> list[Idea]:
    """FedAvg, then the methods that suit the request best, each as published."""
    fedavg = next(one for one in legal if one.method.id == "fedavg")
    best = [one for one in legal if one is not fedavg][: at.spec.search.catalogue_methods]
    return [_as_published(at, one) for one in (fedavg, *best)][:MOST_BASELINES]


def _as_published(at: Situation, one: Match) -> Idea:
    reasons = "; ".join(one.reasons)
    text = f"{one.method.purpose} {reasons}." if reasons else one.method.purpose
    found = idea(at.known, one.method.id, title=one.method.name, hypothesis=text.strip())
    return affordable(at.known, found, at.spec.constraints)


def named(at: Situation, doubt: Doubts) -> list[Idea]:
    """The request's own candidates, less those that a person agreed to leave out."""
    return [
        idea(
            at.known,
            one.method,
            title=one.name,
            hypothesis=f"The request names {one.method} with {_values(one.hyperparameters)} as a candidate.",
            fixed=one.hyperparameters,
            salt=one.salt,
        )
        for one in at.spec.search.candidates
        if one.name not in doubt.left_out
    ]


def _composed(at: Situation, legal: Sequence[Match], before: Sequence[Idea], doubt: Doubts) -> list[Idea]:
    wanted = at.spec.search.plan_candidates
    tried = keys_of(at.known, before)
    found = [one for one in variants(at, legal[:BASES], lambda _: 0.0) if doubt.allows(one.composition)]
    fresh = untried(at, found, tried)
    return [as_idea(at, one, _hypothesis(at, one), _effect(at)) for one in diverse(fresh, wanted)]


def _hypothesis(at: Situation, one: Variant) -> str:
    added = " ".join(f"{name}: {at.known.part(name).purpose}" for name in one.move.parts[:2])
    holding = ", ".join(str(name) for name in one.base.serves if name in at.holding)
    return (
        f"{one.base.name} answers {holding or 'the task'}. {added} "
        "Both act in different slots, so that their gains should add up."
    )


def _effect(at: Situation) -> str:
    objective = at.spec.objective
    way = "greater" if objective.metric.higher_is_better else "smaller"
    return f"{way} {objective.metric}/{objective.scope} than either part alone"


# -- what is said -----------------------------------------------------------------------------------------------------
def _summary(at: Situation, legal: Sequence[Match], doubt: Doubts) -> str:
    holding = ", ".join(f"{name} {strength:.2f}" for name, strength in sorted(at.holding.items()) if _problem(name))
    ranking = "; ".join(f"{one.method.name} {one.score:+.2f} ({', '.join(one.reasons)})" for one in legal[:4])
    lines = [
        f"What holds for this request: {holding or 'nothing in particular'}.",
        f"Best matching methods: {ranking}.",
    ]
    lines.append(
        f"Model: {at.model.architecture} {list(at.model.hidden)}{' with batch norm' if at.model.batch_norm else ''}."
    )
    return "\n".join([*lines, *doubt.notes])


def _problem(name: Circumstance) -> bool:
    """Whether a circumstance asks for something, rather than speak against a method."""
    return list(Circumstance).index(name) < list(Circumstance).index(Circumstance.IID)


def _subtask(one: Idea) -> Subtask:
    parts = ", ".join(part.name for part in one.parts)
    name = re.sub(r"[^A-Za-z0-9]+", "-", one.title).strip("-")[:60].strip("-")
    goal = f"Write {one.method}{f' with {parts}' if parts else ''}"
    takes = ", ".join(each.name for each in one.hyperparameters)
    return Subtask(
        name=name or one.method,
        goal=goal,
        interface=f"build({takes}) -> Strategy",
        validation="static checks, its own tests, the contract tests",
    )


def sources(known: Catalogue, ideas: Sequence[Idea]) -> tuple[str, ...]:
    found = (citation for one in ideas for citation in citations(known, one.method, one.parts))
    return tuple(dict.fromkeys(found))[:64]


def estimated_rounds(spec: RequestSpec, candidates: int) -> int:
    """Trials on the first rung, then two configurations at full length on each selection seed, then the fresh seeds."""
    rounds, search, judging = spec.task.training.rounds, spec.search, spec.judging
    later = search.generations * min(search.top_k, search.proposals)
    each = search.trials * spec.rung_rounds + 2 * judging.selection_seeds * rounds
    return (candidates + later) * each + 4 * judging.fresh_seeds * rounds


def _values(hyperparameters: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in hyperparameters.items()) or "its defaults"
