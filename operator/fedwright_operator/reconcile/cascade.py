"""Pure decisions of the search: who goes on to a full judgement, who is a finalist, whether the search goes on."""

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean, variance

NOISE_BAND = 2.0
"""Half-width of the band in standard errors of a difference of two means; about one chance in forty to cut a tie."""


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


def survivors(scores: Mapping[str, Sequence[float]], higher_is_better: bool, keep: frozenset[str]) -> frozenset[str]:
    """Those whose mean is not outside the noise band below the best, and those that are kept anyway."""
    means = {name: fmean(values) for name, values in scores.items() if values}
    if not means:
        return keep
    sign = 1.0 if higher_is_better else -1.0
    best = max(sign * mean for mean in means.values())
    band = noise_band(list(scores.values()))
    return keep | {name for name, mean in means.items() if sign * mean >= best - band}


def ranked(scores: Mapping[str, float], higher_is_better: bool) -> list[str]:
    """Names from best to worst; ties by name, so that every pass ranks alike."""
    sign = -1.0 if higher_is_better else 1.0
    return sorted(scores, key=lambda name: (sign * scores[name], name))


def on_plateau(best_by_generation: Sequence[float | None], higher_is_better: bool, patience: int) -> bool:
    """Whether the last `patience` generations brought no better score than those before them."""
    if len(best_by_generation) <= patience:
        return False
    sign = 1.0 if higher_is_better else -1.0
    before = [sign * one for one in best_by_generation[:-patience] if one is not None]
    recent = [sign * one for one in best_by_generation[-patience:] if one is not None]
    return bool(before) and max(recent, default=float("-inf")) <= max(before)
