"""How the catalogue mind thinks of a candidate: a method, the parts that it changes, what is fixed and what is tuned."""

from collections.abc import Iterable, Mapping, Sequence

from fedwright_crds.candidate import Part, Range
from fedwright_crds.documents import Idea
from fedwright_crds.request import Constraint
from fedwright_crds.task import Metric
from fedwright_federation.catalogue import (
    Catalogue,
    Composition,
    PartsClashError,
    UnknownEntryError,
    extend,
    of_method,
)

Key = tuple[tuple[str, ...], tuple[tuple[str, float], ...], int]
"""What makes two candidates the same: their parts, their fixed values, their salt."""


SAFE_SHARE = 0.5
"""Share of an accuracy margin that a value may be expected to use up: what is left is for noise."""


class NoSuchIdeaError(ValueError):
    """The catalogue cannot make sense of a candidate."""


def composition_of(
    known: Catalogue, method: str, parts: Sequence[Part], hyperparameters: Iterable[str] = ()
) -> Composition:
    """The method with these parts, and with a neutral part's own form where a hyperparameter asks for one.

    Raises NoSuchIdeaError where a method, a part or a hyperparameter is unknown, or two parts want one slot.
    """
    try:
        composition = extend(of_method(known, method), [part.name for part in parts])
    except (UnknownEntryError, PartsClashError) as error:
        raise NoSuchIdeaError(str(error)) from error
    return accommodated(composition, hyperparameters)


def accommodated(composition: Composition, hyperparameters: Iterable[str]) -> Composition:
    """With the neutral parts that take these hyperparameters, such as SGD with momentum."""
    for name in sorted(hyperparameters):
        has = {one.name for one in composition.ranges}
        if name in has:
            continue
        taker = _taker(composition, name)
        if taker is None:
            raise NoSuchIdeaError(f"hyperparameter {name} reaches no part; there are {', '.join(sorted(has))}")
        composition = extend(composition, [taker])
    return composition


def _taker(composition: Composition, hyperparameter: str) -> str | None:
    known = composition.catalogue
    for name, part in known.parts.items():
        filled = [known.part(other) for other in composition.of(part.slot) if not known.part(other).wraps]
        if part.neutral and hyperparameter in part.names and all(other.neutral for other in filled):
            return name
    return None


def label(known: Catalogue, method: str, parts: Sequence[Part]) -> str:
    """Such as `SCAFFOLD+AdamServer`."""
    return "+".join([known.method(method).name, *(part.name for part in parts)])


def key(known: Catalogue, method: str, parts: Sequence[Part], fixed: Mapping[str, float], salt: int = 0) -> Key:
    """Equal for candidates that are the same, whatever they are called. Raises NoSuchIdeaError."""
    composition = composition_of(known, method, parts, fixed)
    return composition.parts, tuple(sorted(fixed.items())), salt


def idea(
    known: Catalogue,
    method: str,
    parts: Sequence[Part] = (),
    *,
    hypothesis: str,
    title: str = "",
    expected_effect: str = "",
    fixed: Mapping[str, float] | None = None,
    parent: str | None = None,
    salt: int = 0,
) -> Idea:
    """An idea with the ranges of its composition, less what is fixed. Raises NoSuchIdeaError."""
    held = dict(fixed or {})
    composition = composition_of(known, method, parts, held)
    return Idea(
        title=title or label(known, method, parts),
        method=known.method(method).id,
        parts=tuple(parts),
        hyperparameters=tuple(one for one in composition.ranges if one.name not in held),
        fixed=held,
        hypothesis=hypothesis,
        expected_effect=expected_effect,
        source="; ".join(citations(known, method, parts))[:1024],
        parent=parent,
        salt=salt,
    )


def citations(known: Catalogue, method: str, parts: Iterable[Part] = ()) -> tuple[str, ...]:
    """Papers of the method, and of those that its further parts come from."""
    owners = [next((one for one in known.methods.values() if part.name in one.parts), None) for part in parts]
    found = [known.method(method), *(owner for owner in owners if owner)]
    return tuple(dict.fromkeys(owner.paper.citation for owner in found))


def affordable(known: Catalogue, one: Idea, constraints: Sequence[Constraint]) -> Idea:
    """The idea without those values that would use up the margin of a constraint on accuracy.

    Fewest bytes at an accuracy that is just outside the margin are no answer, and the search would go there.
    """
    margins = [each.margin for each in constraints if each.metric is Metric.ACCURACY]
    if not margins:
        return one
    kept = tuple(_without_tolls(known, each, SAFE_SHARE * min(margins)) for each in one.hyperparameters)
    return one.model_copy(update={"hyperparameters": kept})


def _without_tolls(known: Catalogue, one: Range, most: float) -> Range:
    meaning = known.hyperparameters.get(one.name)
    dear = {toll.value for toll in meaning.tolls if toll.accuracy > most} if meaning else set()
    grid = tuple(value for value in one.grid if value not in dear)
    if not dear or not grid:
        return one
    default = one.default if one.default in grid else grid[0]
    return one.model_copy(update={"grid": grid, "default": default, "low": min(grid), "high": max(grid)})
