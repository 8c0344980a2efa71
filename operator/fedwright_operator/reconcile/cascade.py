"""Pure decisions of the search: who goes on to a full judgement, who is a finalist, whether the search goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, variance

from fedwright_crds.request import Constraint

NOISE_BAND = 2.0
"""Half-width of the band in standard errors of a difference of two means: about one chance in forty to cut the equal of
another one, and one in seven where the other is the luckiest of eight equals."""
SEARCH_MARGIN = 0.5
"""Share of a constraint's margin that the search may use up; the final has to prove, through its noise, that the whole is kept."""


def noise_band(samples: Sequence[Sequence[float]]) -> float:
    """How far apart two candidates' means may lie by chance.

    `samples`: one sequence of scores a candidate, over the same seeds. The spread is pooled over the candidates. Without at
    least two seeds somewhere there is no measure of noise, and the band is infinite: nothing is cut.
    """
    spreads = [(len(one) - 1, variance(one)) for one in samples if len(one) > 1]
    freedom = sum(degrees for degrees, _ in spreads)
    if not freedom:
        return float("inf")
    pooled = sum(degrees * spread for degrees, spread in spreads) / freedom
    seeds = fmean(len(one) for one in samples if len(one) > 1)
    return NOISE_BAND * sqrt(2 * pooled / seeds)


@dataclass(frozen=True)
class Mark:
    """How good something is: within the constraints first, then by the objective, then by the constrained metrics."""

    value: float
    """The objective, as measured."""
    violation: float = 0.0
    """Excess over the share of the constraints' margins that the search may use, in margins; 0 is within."""
    ties: tuple[float, ...] = ()
    """Constrained metrics, greater is better: they decide between equal objectives."""

    def key(self, higher_is_better: bool) -> tuple[float, ...]:
        """Sorts from best to worst."""
        return (self.violation, -self.value if higher_is_better else self.value, *(-tie for tie in self.ties))


def violation(values: Mapping[str, float], reference: Mapping[str, float], constraints: Sequence[Constraint]) -> float:
    """By how many margins the values are worse than the reference allows, summed; 0 without a reference."""
    return sum(_excess(values, reference, constraint) for constraint in constraints)


def _excess(values: Mapping[str, float], reference: Mapping[str, float], constraint: Constraint) -> float:
    name = f"{constraint.metric}/{constraint.scope}"
    if name not in values or name not in reference:
        return 0.0
    sign = 1.0 if constraint.metric.higher_is_better else -1.0
    worse = sign * (reference[name] - values[name])
    return max(0.0, worse - SEARCH_MARGIN * constraint.margin) / (constraint.margin or 1e-9)


def ties(values: Mapping[str, float], constraints: Sequence[Constraint]) -> tuple[float, ...]:
    signed = [(f"{one.metric}/{one.scope}", 1.0 if one.metric.higher_is_better else -1.0) for one in constraints]
    return tuple(sign * values[name] for name, sign in signed if name in values)


def survivors(
    scores: Mapping[str, Sequence[float]], marks: Mapping[str, Mark], higher_is_better: bool, least: int
) -> frozenset[str]:
    """Those whose mean is not outside the noise band below the best that keeps the constraints, and the `least` best anyway.

    What the search leaves of a constraint's margin is the band of noise around that constraint.
    """
    if not scores:
        return frozenset()
    sign = 1.0 if higher_is_better else -1.0
    within = [name for name in scores if marks[name].violation == 0] or list(scores)
    best = max(sign * marks[name].value for name in within)
    band = noise_band(list(scores.values()))
    near = {*within, *(name for name in scores if marks[name].violation <= 1 - SEARCH_MARGIN)}
    inside = {name for name in near if sign * marks[name].value >= best - band}
    return frozenset(inside | set(ranked({name: marks[name] for name in scores}, higher_is_better)[:least]))


def ranked(marks: Mapping[str, Mark], higher_is_better: bool) -> list[str]:
    """Names from best to worst; equals stay in the order of the mapping."""
    return sorted(marks, key=lambda name: marks[name].key(higher_is_better))


def on_plateau(best_by_generation: Sequence[float | None], higher_is_better: bool, patience: int) -> bool:
    """Whether the last `patience` generations brought no better score than those before them."""
    if len(best_by_generation) <= patience:
        return False
    sign = 1.0 if higher_is_better else -1.0
    before = [sign * one for one in best_by_generation[:-patience] if one is not None]
    recent = [sign * one for one in best_by_generation[-patience:] if one is not None]
    return bool(before) and max(recent, default=float("-inf")) <= max(before)
