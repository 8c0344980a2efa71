"""A model's ideas as the platform's: ranges of catalogue parts filled in, rules of composition applied, repetitions left out."""

import re
from collections.abc import Collection, Iterable, Sequence

from fedwright_agents.catalogue_mind.ideas import NoSuchIdeaError, affordable, composition_of, idea
from fedwright_agents.model_mind.drafts import DraftIdea
from fedwright_agents.model_mind.reading import Misread
from fedwright_crds.candidate import Part, Range
from fedwright_crds.documents import CandidateOutcome, Idea
from fedwright_crds.request import RequestSpec
from fedwright_crds.task import ModelSpec
from fedwright_federation.catalogue import Catalogue, Composition, UnknownEntryError
from fedwright_federation.catalogue.composition import SLOTS

LIKE = 0.85
"""Two hypotheses that share so many of their words (Jaccard) say the same thing."""


def idea_of(known: Catalogue, draft: DraftIdea, spec: RequestSpec, model: ModelSpec) -> Idea:
    """The draft as an idea. Raises Misread where the catalogue's rules forbid it or it names no method."""
    parts = tuple(Part(slot=one.slot, name=one.name, reason=one.reason) for one in draft.parts)
    _require_method(known, draft.method)
    own = [part for part in parts if part.name not in known.parts]
    for part in parts:
        _require_slot(known, part)
    # What a part of the model's own does to the rules is seen when its code is tested.
    composition = _composed(known, draft, [part for part in parts if part not in own])
    if not own:
        _require_legal(composition, spec, model, draft.title)
        return _of_catalogue_parts(known, draft, parts, spec)
    ranges = {one.name: one for one in composition.ranges} | {one.name: _range(one) for one in _ranges(draft)}
    return Idea(
        title=draft.title,
        method=draft.method,
        parts=parts,
        hyperparameters=tuple(ranges.values()),
        hypothesis=draft.hypothesis,
        expected_effect=draft.expected_effect,
    )


def _of_catalogue_parts(known: Catalogue, draft: DraftIdea, parts: Sequence[Part], spec: RequestSpec) -> Idea:
    made = idea(
        known,
        draft.method,
        parts,
        hypothesis=draft.hypothesis,
        title=draft.title,
        expected_effect=draft.expected_effect,
    )
    return affordable(known, made, spec.constraints)


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


def _ranges(draft: DraftIdea) -> list[Range]:
    return [
        Range(name=one.name, default=one.default, low=min(one.grid), high=max(one.grid), grid=one.grid)
        for one in draft.hyperparameters
    ]


def _range(one: Range) -> Range:
    """With the default among the values to try."""
    return one if one.default in one.grid else one.model_copy(update={"grid": (one.default, *one.grid)})


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
