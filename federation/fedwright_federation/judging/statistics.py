"""Paired comparisons over fresh seeds, on which nothing was selected."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MOST_EXACT = 16
"""Up to so many pairs all sign flips are counted; beyond, DRAWS random ones beside the one seen."""
DRAWS = 100_000
_ROUNDING = 1e-12
"""Sums and spreads that are smaller than this share of the figures are rounding."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Test:
    """One-sided: how likely so large a mean difference would be if there were none."""

    t: float
    """By the paired t test; by sign flips where nothing varies, for then a t test says nothing."""
    sign_flip: float
    """By exact sign flips (Fisher 1935)."""
    __test__ = False


def superior(differences: Sequence[float] | Floats) -> Test:
    """That the mean of the differences is greater than zero. Two or more pairs; equal copies are never superior."""
    d = np.asarray(differences, dtype=np.float64)
    flips = sign_flip(d)
    if constant(d):
        return Test(flips, flips)
    return Test(float(stats.t.sf(d.mean() / (d.std(ddof=1) / len(d) ** 0.5), len(d) - 1)), flips)


def not_inferior(differences: Sequence[float] | Floats, margin: float) -> Test:
    """That the mean of the differences is greater than -margin. What never varies and is within the margin is so for sure."""
    d = np.asarray(differences, dtype=np.float64)
    if constant(d) and d.mean() + margin >= -_ROUNDING * np.abs(d).max():
        return Test(0.0, 0.0)
    return superior(d + margin)


def interval(differences: Sequence[float] | Floats, level: float) -> tuple[float, float]:
    """Of the mean difference, two-sided, by Student's t; it covers 1 - level."""
    d = np.asarray(differences, dtype=np.float64)
    half = float(stats.t.ppf(1 - level / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5)
    return float(d.mean()) - half, float(d.mean()) + half


def constant(d: Floats) -> bool:
    return bool(np.ptp(d) <= _ROUNDING * max(1e-300, np.abs(d).max()))


def sign_flip(differences: Sequence[float] | Floats) -> float:
    """The share of all sign assignments whose sum is at least the one seen, ties included."""
    d = np.asarray(differences, dtype=np.float64)
    sums = _all_sums(d) if len(d) <= MOST_EXACT else _random_sums(d)
    return float((sums >= d.sum() - _ROUNDING * np.abs(d).sum()).mean())


def _all_sums(d: Floats) -> Floats:
    """[2^n], by doubling: each further difference is added and subtracted."""
    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _random_sums(d: Floats) -> Floats:
    """The assignment seen is one of them, so that the share is a valid p (Phipson and Smyth 2010)."""
    signs = np.random.default_rng(len(d)).choice([-1.0, 1.0], (DRAWS, len(d)))
    return np.append(signs @ d, d.sum())


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted p values in the given order (Holm 1979): each holds at a level where it is at most that level."""
    adjusted = [1.0] * len(ps)
    greatest = 0.0
    for rank, at in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        greatest = max(greatest, min(1.0, (len(ps) - rank) * ps[at]))
        adjusted[at] = greatest
    return adjusted
