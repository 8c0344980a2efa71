"""A model's ideas as the platform's: ranges of catalogue parts filled in, rules of composition applied, repetitions left out."""

import re
from collections.abc import Collection, Iterable, Sequence
from math import isclose

from fedwright_agents.catalogue_mind.ideas import NoSuchIdeaError, affordable, composition_of
from fedwright_agents.catalogue_mind.tune import STEP
from fedwright_agents.model_mind.drafts import DraftIdea, DraftRange
from fedwright_agents.model_mind.reading import Misread
from fedwright_crds.candidate import Part, Range
from fedwright_crds.documents import CandidateOutcome, Idea
from fedwright_crds.request import RequestSpec
from fedwright_crds.task import ModelSpec
from fedwright_federation.catalogue import Catalogue, Composition, UnknownEntryError, catalogue
from fedwright_federation.catalogue.composition import LOCAL, PLURAL, SLOTS

FROM_MEMORY = " (from the model's memory: no search gave this address)"
LONGEST_SOURCE = 1024 - len(FROM_MEMORY)
_ADDRESS = re.compile(r"""https?://[^\s)\]>"']+""")
LIKE = 0.85
"""Two hypotheses that share so many of their words (Jaccard) say the same thing."""


def idea_of(known: Catalogue, draft: DraftIdea, spec: RequestSpec, model: ModelSpec) -> Idea:
    """The draft as an idea. Raises Misread where the catalogue's rules forbid it or it names no method."""
    parts = tuple(Part(slot=one.slot, name=one.name, reason=one.reason) for one in draft.parts)
    _require_method(known, draft.method)
    own = own_parts(parts)
    for part in parts:
        _require_slot(known, part)
    # What a part of the model's own does to the rules is seen when its code is tested.
    composition = _composed(known, draft, [part for part in parts if part not in own])
    if not own:
        _require_legal(composition, spec, model, draft.title)
    made = Idea(
        title=draft.title,
        method=draft.method,
        parts=parts,
        hyperparameters=_searched(composition, own, draft),
        hypothesis=draft.hypothesis,
        expected_effect=draft.expected_effect,
        source=draft.source,
    )
    return affordable(known, made, spec.constraints)


def cited(source: str, looked_up: str = "") -> str:
    """A source with an address that no tool gave is told for what it is, so that the person who approves does not take it for
    something that was read."""
    addresses = [one.rstrip(".,;") for one in _ADDRESS.findall(source)]
    return source[:LONGEST_SOURCE] + FROM_MEMORY if any(one not in looked_up for one in addresses) else source


def own_parts(parts: Iterable[Part]) -> list[Part]:
    """Those that the catalogue does not have, so that somebody must write them."""
    known = catalogue().parts
    return [part for part in parts if part.name not in known]


def _require_method(known: Catalogue, method: str) -> None:
    if method not in known.methods:
        raise Misread(f"There is no method {method}; choose among {', '.join(known.methods)}.")


def _require_slot(known: Catalogue, part: Part) -> None:
    wanted = known.part(part.name).slot if part.name in known.parts else ""
    if wanted and part.slot != wanted:
        raise Misread(f"{part.name} belongs to slot {wanted}, not {part.slot}.")
    if part.slot not in SLOTS:
        raise Misread(f"{part.name} names slot {part.slot}; slots are {', '.join(SLOTS)}.")


def _composed(known: Catalogue, draft: DraftIdea, parts: Sequence[Part]) -> Composition:
    try:
        return composition_of(known, draft.method, parts)
    except (NoSuchIdeaError, UnknownEntryError) as error:
        raise Misread(f"{draft.title}: {error}.") from error


def _require_legal(composition: Composition, spec: RequestSpec, model: ModelSpec, title: str) -> None:
    unit = str(spec.privacy.unit) if spec.privacy else None
    fatal = [one for one in composition.objections(model, unit) if one.fatal]
    if fatal:
        raise Misread(f"{title} is not legal: [{fatal[0].rule}] {fatal[0].reason}.")


# -- what is searched -------------------------------------------------------------------------------------------------
def _searched(composition: Composition, own: Sequence[Part], draft: DraftIdea) -> tuple[Range, ...]:
    """The catalogue's ranges as the draft narrows them, less those of parts that give way, and the draft's own for own parts.

    The step size comes first, then what the draft names: few trials reach no further.
    """
    said, replaced = {one.name: one for one in draft.hyperparameters}, _replaced(composition, own)
    kept = {one.name: _narrowed(one, said.get(one.name)) for one in composition.ranges if one.name not in replaced}
    new = {name: _range(one) for name, one in said.items() if name not in kept} if own else {}
    found = kept | new
    return tuple(found[name] for name in dict.fromkeys((STEP, *said, *found)) if name in found)


def _replaced(composition: Composition, own: Sequence[Part]) -> frozenset[str]:
    """Hyperparameters of catalogue parts whose slot holds one part, and now another; every local update keeps a step size."""
    slots = {part.slot for part in own} - PLURAL
    known, parts = composition.catalogue, composition.parts
    left = tuple(name for name in parts if known.part(name).slot not in slots)
    staying = {one.name for one in known.ranges((*left, LOCAL))}
    return frozenset(one.name for one in known.ranges(parts) if one.name not in staying)


def _narrowed(one: Range, said: DraftRange | None) -> Range:
    """To those values of the catalogue's that the draft keeps: everyone is tuned over the same grid."""
    if said is None:
        return one
    grid = tuple(value for value in one.grid if any(isclose(value, other) for other in said.grid)) or one.grid
    wanted = [value for value in grid if isclose(value, said.default)]
    default = next(iter([*wanted, *([one.default] if one.default in grid else []), *grid]))
    return one.model_copy(update={"grid": grid, "default": default, "low": min(grid), "high": max(grid)})


def _range(one: DraftRange) -> Range:
    """With the default among the values to try."""
    grid = one.grid if one.default in one.grid else (one.default, *one.grid)
    return Range(name=one.name, default=one.default, low=min(grid), high=max(grid), grid=grid)


# -- novelty ----------------------------------------------------------------------------------------------------------
def fresh(ideas: Iterable[Idea], before: Collection[Idea | CandidateOutcome]) -> list[Idea]:
    """Those that differ from all before, and from one another, in what they are made of and in what they say."""
    kept: list[Idea] = []
    for one in ideas:
        if not any(same(one, other) for other in (*before, *kept)):
            kept.append(one)
    return kept


def same(one: Idea, other: Idea | CandidateOutcome) -> bool:
    made = one.method == other.method and _made_of(one) == _made_of(other)
    if made and all(part.name in _plain(other) for part in one.parts):
        return one.fixed == other.fixed and one.salt == getattr(other, "salt", 0)
    return alike(one.hypothesis, other.hypothesis) >= LIKE


def _made_of(one: Idea | CandidateOutcome) -> frozenset[tuple[str, str]]:
    return frozenset((part.slot, part.name) for part in one.parts)


def _plain(one: Idea | CandidateOutcome) -> frozenset[str]:
    return frozenset(part.name for part in one.parts)


def alike(one: str, other: str) -> float:
    """Jaccard similarity of their words."""
    mine, theirs = _words(one), _words(other)
    return len(mine & theirs) / len(mine | theirs) if mine | theirs else 1.0


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w{3,}", text.lower()))
