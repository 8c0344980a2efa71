"""The reflector: what the outcomes say, and variants that were not tried yet, each with its hypothesis."""

from collections.abc import Sequence

from fedwright_agents.catalogue_mind.evidence import Evidence, baseline, gather, improves, scored
from fedwright_agents.catalogue_mind.ideas import Key, NoSuchIdeaError, composition_of
from fedwright_agents.catalogue_mind.variants import (
    Situation,
    Variant,
    as_idea,
    diverse,
    key_of,
    keys_of,
    untried,
    variants,
)
from fedwright_crds.documents import CandidateOutcome, Idea, ReflectInput, ReflectOutput
from fedwright_federation.catalogue import Catalogue, Composition, catalogue, match

TRUST = 0.5
"""How much a mark of 1 counts beside the catalogue's prior."""
EDGE = 0.25
"""What a step size at the end of its grid adds to parts that change the step."""
PARENTS = 6
"""Methods that variants start from: the best by prior and outcomes together."""
LARGER_STEPS = frozenset({"ServerStep", "MomentumServer", "AdamServer", "MomentumSgd"})
SHORTER_STEPS = frozenset({"ProximalPull"})


def reflect(asked: ReflectInput) -> ReflectOutput:
    """A critique, and as many proposals as asked for, or as there are left."""
    known = catalogue()
    at = Situation(known, asked.facts, asked.spec, asked.plan.model)
    evidence = gather(known, asked.spec, asked.outcomes)
    nudged = _at_the_edge(asked.outcomes)

    def bonus(composition: Composition) -> float:
        edges = EDGE * bool(nudged & set(composition.parts))
        return TRUST * evidence.of(composition) + edges

    legal = [one for one in match(known, asked.facts, asked.spec, at.model) if not one.excluded]
    bases = sorted(legal, key=lambda one: -(one.score + TRUST * evidence.of(one.composition)))[:PARENTS]
    found, tried = variants(at, bases, bonus), _tried(known, asked)
    before = [one for one in found if key_of(known, one) in tried]
    chosen = diverse(untried(at, found, tried), asked.proposals, before)
    return ReflectOutput(
        critique=_critique(asked, evidence, nudged),
        proposals=tuple(_proposal(at, one, asked.outcomes, evidence, nudged) for one in chosen),
    )


def _tried(known: Catalogue, asked: ReflectInput) -> set[Key]:
    """Everything that was planned or became a candidate."""
    planned = keys_of(known, (*asked.plan.baselines, *asked.plan.candidates))
    return planned | keys_of(known, (_as_idea(one) for one in asked.outcomes))


def _as_idea(one: CandidateOutcome) -> Idea:
    return Idea(title=one.title, method=one.method, parts=one.parts, fixed=one.fixed, hypothesis=one.hypothesis)


def _at_the_edge(outcomes: Sequence[CandidateOutcome]) -> frozenset[str]:
    """Parts that change the step's length, where FedAvg's best step size lies at an end of its grid."""
    first = baseline(outcomes)
    grid = next((one.grid for one in first.hyperparameters if one.name == "lr"), ()) if first else ()
    best = first.best.get("lr") if first else None
    if not grid or best is None:
        return frozenset()
    return LARGER_STEPS if best >= max(grid) else SHORTER_STEPS if best <= min(grid) else frozenset()


def _proposal(
    at: Situation, one: Variant, outcomes: Sequence[CandidateOutcome], evidence: Evidence, nudged: frozenset[str]
) -> Idea:
    parent = _parent(at.known, one, outcomes)
    told = [_record(one, parent, evidence, at)]
    told += [f"{name}: {at.known.part(name).purpose}" for name in one.move.parts[:2]]
    if nudged & set(one.composition.parts):
        told.append("FedAvg's best step size lies at the end of its grid, so a part that changes the step should help.")
    draft = as_idea(at, one, " ".join(told), _effect(at, parent))
    return draft.model_copy(update={"parent": parent.name if parent else None})


def _parent(known: Catalogue, one: Variant, outcomes: Sequence[CandidateOutcome]) -> CandidateOutcome | None:
    """The scored candidate of the same method that shares most parts."""
    related = [other for other in scored(outcomes) if other.method == one.base.id]
    return max(related, key=lambda other: _common(known, one, other), default=None)


def _common(known: Catalogue, one: Variant, other: CandidateOutcome) -> int:
    try:
        return len(
            set(composition_of(known, other.method, other.parts, other.fixed).parts) & set(one.composition.parts)
        )
    except NoSuchIdeaError:
        return -1


def _record(one: Variant, parent: CandidateOutcome | None, evidence: Evidence, at: Situation) -> str:
    if parent is None or parent.score is None:
        served = ", ".join(str(name) for name in one.base.serves if name in at.holding)
        return f"{one.base.name} was not tried and serves {served or 'the task'}."
    mark = evidence.candidates.get(parent.name, 0.0)
    better = "better than" if mark > 0.05 else "worse than" if mark < -0.05 else "level with"
    return f"{parent.title} scored {parent.score:.4g}, {better} FedAvg."


def _effect(at: Situation, parent: CandidateOutcome | None) -> str:
    objective = at.spec.objective
    way = "greater" if objective.metric.higher_is_better else "smaller"
    than = f"{parent.title}'s {parent.score:.4g}" if parent and parent.score is not None else "FedAvg's"
    return f"{way} {objective.metric}/{objective.scope} than {than}"


def _critique(asked: ReflectInput, evidence: Evidence, nudged: frozenset[str]) -> str:
    ranked = sorted(scored(asked.outcomes), key=lambda one: -improves(asked.spec) * (one.score or 0.0))
    lines = [f"{one.title}: {one.score:.4g}{_outside(one, evidence)}" for one in ranked[:8]]
    lines += [f"{one.title} did not run: {one.reason}" for one in asked.outcomes if one.phase in {"Rejected", "Failed"}]
    helped = sorted((mark, part) for part, mark in evidence.parts.items())
    if helped:
        worst, best = helped[0], helped[-1]
        lines.append(f"Most helpful part: {best[1]} ({best[0]:+.2f}); least: {worst[1]} ({worst[0]:+.2f}).")
    if nudged:
        lines.append("FedAvg's best step size lies at the end of its grid.")
    return "\n".join(lines)


def _outside(one: CandidateOutcome, evidence: Evidence) -> str:
    return "" if one.name in evidence.within else " (outside a constraint)"
