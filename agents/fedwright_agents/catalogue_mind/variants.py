"""Compositions worth trying: a method that suits the request and one thing more, by what both serve.

A move adds one part, or the parts of a whole method. How good it looks is a prior from the catalogue; what outcomes say of
parts is added by whoever has outcomes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from fedwright_agents.catalogue_mind.ideas import Key, NoSuchIdeaError, affordable, idea, key
from fedwright_crds.candidate import Part
from fedwright_crds.documents import DataFacts, Idea
from fedwright_crds.request import RequestSpec
from fedwright_crds.task import ModelSpec
from fedwright_federation.catalogue import (
    Catalogue,
    Circumstance,
    Composition,
    Match,
    Method,
    PartsClashError,
    compose,
    excluded,
)
from fedwright_federation.catalogue.circumstances import Circumstances, circumstances
from fedwright_federation.catalogue.matching import CAUTION, cost, weight

COMPLEXITY = 0.04
"""What each further part takes from a composition's score."""
ALIKE = 0.15
"""What each trait (base, move, slot of the move) shared with the most similar other variant takes from a score."""


@dataclass(frozen=True)
class Situation:
    """All that decides how good a composition looks before it is tried."""

    known: Catalogue
    facts: DataFacts
    spec: RequestSpec
    model: ModelSpec
    holding: Circumstances = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "holding", circumstances(self.facts, self.spec, self.model))


@dataclass(frozen=True)
class Move:
    """Parts to add together, and the method that they come from, if any."""

    name: str
    parts: tuple[str, ...]
    method: Method | None = None


@dataclass(frozen=True)
class Variant:
    """A base method with a move."""

    base: Method
    move: Move
    composition: Composition
    score: float

    def added(self, known: Catalogue) -> tuple[Part, ...]:
        """What the move puts into the base."""
        reason = f"from {self.move.method.name}" if self.move.method else ""
        slots = ((name, known.part(name)) for name in self.move.parts)
        return tuple(Part(slot=entry.slot, name=name, reason=reason or entry.purpose) for name, entry in slots)


def moves(known: Catalogue) -> Iterator[Move]:
    """Each part that serves something by itself, then each method's parts together."""
    for name, part in known.parts.items():
        if part.alone:
            yield Move(name, (name,))
    for method in known.methods.values():
        own = tuple(name for name in method.parts if not known.part(name).neutral)
        if len(own) > 1:
            yield Move(method.name, own, method)


def variants(at: Situation, bases: Sequence[Match], bonus: Callable[[Composition], float]) -> list[Variant]:
    """Every legal base with every move that fits it, best first. `bonus` is what experience adds to a score."""
    found = [
        variant
        for base in bases
        for move in moves(at.known)
        if (variant := _variant(at, base.method, move, bonus)) is not None
    ]
    return sorted(found, key=lambda one: (-one.score, one.base.id, one.move.name))


def _variant(at: Situation, base: Method, move: Move, bonus: Callable[[Composition], float]) -> Variant | None:
    try:
        composition = compose(at.known, base.parts, move.parts)
    except PartsClashError:
        return None
    if set(composition.parts) <= {*base.parts, "LocalSgd"} or excluded(composition, at.spec, at.model):
        return None
    score = promise(at, base, composition, move) + bonus(composition)
    return Variant(base, move, composition, score)


def promise(at: Situation, base: Method, composition: Composition, move: Move | None = None) -> float:
    """What base and move serve of what holds, each taking its share of what is left, less cautions, costs and parts."""
    sources = [base.serves] + ([_serves(at, move)] if move else [])
    served = sum(_together(at, name, [source.get(name, 0.0) for source in sources]) for name in at.holding)
    methods = [base] + ([move.method] if move and move.method else [])
    warned = {caution.when for method in methods for caution in method.avoid}
    warned |= {caution.when for part in composition.entries for caution in part.avoid}
    cautions = len(warned & at.holding.keys())
    spent = sum(cost(method, at.spec) for method in methods)
    return served - CAUTION * cautions - spent - COMPLEXITY * len(composition.parts)


def _serves(at: Situation, move: Move) -> dict[Circumstance, float]:
    return move.method.serves if move.method else at.known.part(move.parts[0]).serves


def _together(at: Situation, name: Circumstance, strengths: Iterable[float]) -> float:
    left = 1.0
    for strength in strengths:
        left *= 1 - strength
    return (1 - left) * at.holding[name] * weight(name, at.spec)


def diverse(candidates: Sequence[Variant], wanted: int, before: Sequence[Variant] = ()) -> list[Variant]:
    """The best ones, each with a malus for what it shares with the one most like it, taken or `before`."""
    left, taken = list(candidates), list[Variant]()
    while left and len(taken) < wanted:
        best = max(left, key=lambda one: one.score - ALIKE * _likeness(one, (*before, *taken)))
        taken.append(best)
        left.remove(best)
    return taken


def _likeness(one: Variant, others: Iterable[Variant]) -> int:
    return max((len(_traits(one) & _traits(other)) for other in others), default=0)


def _traits(one: Variant) -> set[str]:
    known = one.composition.catalogue
    slots = {f"slot {known.part(name).slot}" for name in one.move.parts}
    return {f"base {one.base.id}", f"move {one.move.name}"} | slots


def untried(at: Situation, candidates: Iterable[Variant], tried: set[Key]) -> list[Variant]:
    """Those that are no candidate yet; of two that are the same composition the first."""
    fresh: list[Variant] = []
    seen = set(tried)
    for one in candidates:
        own = key_of(at.known, one)
        if own not in seen:
            seen.add(own)
            fresh.append(one)
    return fresh


def key_of(known: Catalogue, one: Variant) -> Key:
    return key(known, one.base.id, one.added(known), {})


def as_idea(at: Situation, one: Variant, hypothesis: str, expected_effect: str) -> Idea:
    """A candidate in the contract's words."""
    found = idea(
        at.known,
        one.base.id,
        one.added(at.known),
        title=f"{one.base.name} + {one.move.name}",
        hypothesis=hypothesis,
        expected_effect=expected_effect,
    )
    return affordable(at.known, found, at.spec.constraints)


def keys_of(known: Catalogue, ideas: Iterable[Idea]) -> set[Key]:
    """Of those that the catalogue understands."""
    found: set[Key] = set()
    for one in ideas:
        try:
            found.add(key(known, one.method, one.parts, one.fixed, one.salt))
        except NoSuchIdeaError:
            continue
    return found
