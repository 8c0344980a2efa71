"""The catalogue's reviewers: rules that grade proposals by dimension, each reviewer weighing differently.

Three temperaments take turns: the theorist trusts the catalogue, the empiricist the outcomes, the engineer the plainest
composition. `mode` is Rule: no grade here is a model's.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from fedwright_agents.catalogue_mind.evidence import Evidence, gather
from fedwright_agents.catalogue_mind.ideas import NoSuchIdeaError, composition_of
from fedwright_agents.catalogue_mind.plan import choose_model
from fedwright_agents.catalogue_mind.variants import Situation
from fedwright_crds.documents import CandidateOutcome, Grade, Idea, ReviewInput, ReviewOutput
from fedwright_federation.catalogue import Catalogue, Circumstance, Composition, catalogue
from fedwright_federation.catalogue.matching import suitability

PLAIN = 0.08
"""What each part beside FedAvg's takes from simplicity."""
SETTINGS = 0.05
"""What each hyperparameter beside the step size takes from simplicity."""


@dataclass(frozen=True)
class Temperament:
    """How a reviewer mixes the catalogue's prior, the outcomes and simplicity; and what novelty is to it."""

    name: str
    prior: float
    evidence: float
    simplicity: float
    novelty: Callable[[Composition], frozenset[str]]


def _parts(composition: Composition) -> frozenset[str]:
    return frozenset(composition.parts)


def _slots(composition: Composition) -> frozenset[str]:
    own = (part for part in composition.entries if not part.neutral)
    return frozenset(f"{part.slot}:{part.class_name}" for part in own)


def _features(composition: Composition) -> frozenset[str]:
    return composition.features | {one.name for one in composition.ranges}


TEMPERAMENTS = (
    Temperament("theorist", 0.6, 0.2, 0.2, _features),
    Temperament("empiricist", 0.2, 0.6, 0.2, _parts),
    Temperament("engineer", 0.2, 0.3, 0.5, _slots),
)


@dataclass(frozen=True)
class Desk:
    """What one reviewer looks at."""

    known: Catalogue
    asked: ReviewInput

    @cached_property
    def temperament(self) -> Temperament:
        return TEMPERAMENTS[self.asked.reviewer % len(TEMPERAMENTS)]

    @cached_property
    def situation(self) -> Situation:
        model = self.asked.spec.model or choose_model(self.asked.spec, self.asked.facts)
        return Situation(self.known, self.asked.facts, self.asked.spec, model)

    @cached_property
    def evidence(self) -> Evidence:
        return gather(self.known, self.asked.spec, self.asked.outcomes)

    @cached_property
    def tried(self) -> list[frozenset[str]]:
        found = (_composition(self.known, one) for one in self.asked.outcomes)
        return [self.temperament.novelty(one) for one in found if one is not None]


def review(asked: ReviewInput) -> ReviewOutput:
    """A grade for each proposal and criterion; a proposal that the catalogue cannot make sense of gets none but 0 for correctness."""
    desk = Desk(catalogue(), asked)
    grades = [
        grade
        for number, proposal in enumerate(asked.proposals)
        for criterion in asked.criteria
        if (grade := _grade(desk, number, proposal, criterion)) is not None
    ]
    return ReviewOutput(grades=tuple(grades), mode="Rule")


def _grade(desk: Desk, number: int, proposal: Idea, criterion: str) -> Grade | None:
    composition = _composition(desk.known, proposal)
    if composition is None:
        if criterion != "correctness":
            return None
        return Grade(proposal=number, dimension=criterion, score=0.0, reason="the catalogue knows no such composition")
    score, reason = GRADERS.get(criterion, _by_words(criterion))(desk, composition, proposal)
    bounded = round(min(1.0, max(0.0, score)), 6)
    return Grade(proposal=number, dimension=criterion, score=bounded, reason=f"{desk.temperament.name}: {reason}")


def _composition(known: Catalogue, one: Idea | CandidateOutcome) -> Composition | None:
    try:
        return composition_of(known, one.method, one.parts, one.fixed)
    except NoSuchIdeaError:
        return None


# -- dimensions -------------------------------------------------------------------------------------------------------
Grader = Callable[[Desk, Composition, Idea], tuple[float, str]]


def _novelty(desk: Desk, composition: Composition, proposal: Idea) -> tuple[float, str]:
    """One less the greatest Jaccard similarity to what was tried."""
    del proposal
    own = desk.temperament.novelty(composition)
    nearest = max((_jaccard(own, other) for other in desk.tried), default=0.0)
    return 1 - nearest, f"at most {nearest:.0%} alike to a candidate that was tried"


def _correctness(desk: Desk, composition: Composition, proposal: Idea) -> tuple[float, str]:
    """Whether it may run, what it promises here, and how its parts did."""
    at, mind = desk.situation, desk.temperament
    unit = str(at.spec.privacy.unit) if at.spec.privacy else None
    objections = composition.objections(at.model, unit, len(at.spec.task.heads))
    fatal = [one for one in objections if one.fatal]
    if fatal:
        return 0.0, f"[{fatal[0].rule}] {fatal[0].reason}"
    promise, _ = suitability(desk.known.method(proposal.method), at.spec, at.holding)
    prior, record = min(1.0, max(0.0, 0.4 + promise / 3)), (1 + desk.evidence.of(composition)) / 2
    score = mind.prior * prior + mind.evidence * record + mind.simplicity * _simplicity(composition)
    return score - 0.15 * len(objections), f"promise {prior:.2f}, record of its parts {record:.2f}"


def _testability(desk: Desk, composition: Composition, proposal: Idea) -> tuple[float, str]:
    """Plain compositions fail for one reason at a time; and a hypothesis that names a figure can be wrong."""
    del proposal
    simple = _simplicity(composition)
    weight = 0.6 + 0.4 * desk.temperament.simplicity
    return 1 - weight * (1 - simple), f"{len(composition.parts)} parts, {len(composition.ranges)} hyperparameters"


def _simplicity(composition: Composition) -> float:
    own = sum(not part.neutral for part in composition.entries)
    return max(0.0, 1 - PLAIN * own - SETTINGS * max(0, len(composition.ranges) - 1))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 1.0


GRADERS: dict[str, Grader] = {"novelty": _novelty, "correctness": _correctness, "testability": _testability}

# -- the request's own criteria ---------------------------------------------------------------------------------------
SIMPLE = re.compile(r"simpl|plain|interpret|explain|maintain|few part", re.IGNORECASE)
CHEAP = re.compile(r"comput|energy|batter|fast|speed|time|cost", re.IGNORECASE)
DISCREET = re.compile(r"privac|leak|confidential|secur", re.IGNORECASE)
WORDS = {
    Circumstance.BANDWIDTH: re.compile(r"byte|bandwidth|upload|traffic|communicat|compress", re.IGNORECASE),
    Circumstance.PERSONALISATION: re.compile(r"personal|fair|worst|each client|per client|equal", re.IGNORECASE),
    Circumstance.STRAGGLERS: re.compile(r"straggl|slow|dropout|deadline", re.IGNORECASE),
    Circumstance.LABEL_NOISE: re.compile(r"noise|noisy|robust|corrupt", re.IGNORECASE),
    Circumstance.LABEL_SKEW: re.compile(r"skew|non-?iid|heterogen|drift", re.IGNORECASE),
    Circumstance.FEW_ROUNDS: re.compile(r"round|converg", re.IGNORECASE),
}


def _by_words(criterion: str) -> Grader:
    """A grader for a criterion in plain words: by what it speaks of, else by how well the proposal suits the request."""
    if SIMPLE.search(criterion):
        return _plainness
    if DISCREET.search(criterion):
        return _discretion
    spoken = next((name for name, words in WORDS.items() if words.search(criterion)), None)
    if spoken is not None:
        return lambda desk, composition, proposal: _serving(desk, composition, proposal, spoken)
    return _cheapness if CHEAP.search(criterion) else _suitable


def _plainness(desk: Desk, composition: Composition, proposal: Idea) -> tuple[float, str]:
    del desk, proposal
    return _simplicity(composition), f"{len(composition.parts)} parts"


def _discretion(desk: Desk, composition: Composition, proposal: Idea) -> tuple[float, str]:
    del desk, proposal
    told = sorted(composition.features & {"payload", "measures-data", "synthetic-data"})
    kept = 0.2 if "private-keys" in composition.features else 0.0
    return 0.7 + kept - 0.25 * len(told), f"sends beside the update: {', '.join(told) or 'nothing'}"


def _cheapness(desk: Desk, composition: Composition, proposal: Idea) -> tuple[float, str]:
    del composition
    costs = desk.known.method(proposal.method).costs
    return 1 / max(costs.compute, 0.5) / 2 + 0.25, f"{costs.compute:g} times FedAvg's computation"


def _serving(desk: Desk, composition: Composition, proposal: Idea, what: Circumstance) -> tuple[float, str]:
    strengths = [part.serves.get(what, 0.0) for part in composition.entries]
    strengths.append(desk.known.method(proposal.method).serves.get(what, 0.0))
    return 0.3 + 0.7 * max(strengths), f"serves {what} with {max(strengths):.2f}"


def _suitable(desk: Desk, composition: Composition, proposal: Idea) -> tuple[float, str]:
    score, reasons = suitability(desk.known.method(proposal.method), desk.situation.spec, desk.situation.holding)
    return 0.4 + score / 3 + 0.2 * desk.evidence.of(composition), "; ".join(reasons) or "no particular reason"
