"""What a committee of reviewers decides from its grades: standings, the best k proposals, and how far it agrees.

Pure arithmetic over grades. It must not know what a proposal says nor who graded it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from statistics import fmean, pstdev

from fedwright_crds.documents import Grade

Grades = Sequence[Grade]
"""One reviewer's."""
NO_SPREAD = 1e-9


@dataclass(frozen=True)
class Standing:
    """What the committee thinks of one proposal; `total` is None where nobody graded it."""

    proposal: int
    dimensions: dict[str, float]
    total: float | None


def normalised(grades: Grades) -> tuple[Grade, ...]:
    """One reviewer's grades on a scale that all share: their mean is 0.5, and two standard deviations reach 0 and 1.

    A judge that is kind to all, or that uses a narrow part of its scale, decides as much as any other. Grades that are all
    equal say nothing, and each becomes 0.5.
    """
    if not grades:
        return ()
    scores = [grade.score for grade in grades]
    mean, spread = fmean(scores), pstdev(scores)
    return tuple(
        grade.model_copy(update={"score": min(1.0, max(0.0, 0.5 + (grade.score - mean) / (4 * spread)))})
        if spread > NO_SPREAD
        else grade.model_copy(update={"score": 0.5})
        for grade in grades
    )


def standings(reviews: Sequence[Grades], proposals: int) -> tuple[Standing, ...]:
    """The mean grade of each proposal, by dimension over reviewers, then over dimensions.

    A missing grade is left out of its mean, never counted as zero. With none missing, `total` is
    (1/m) sum_j G(p, R_j) where G is the reviewer's mean over dimensions.
    """
    return tuple(_standing(reviews, proposal) for proposal in range(proposals))


def _standing(reviews: Sequence[Grades], proposal: int) -> Standing:
    scores: dict[str, list[float]] = {}
    for grades in reviews:
        for grade in grades:
            if grade.proposal == proposal:
                scores.setdefault(grade.dimension, []).append(grade.score)
    dimensions = {name: fmean(values) for name, values in sorted(scores.items())}
    return Standing(proposal, dimensions, fmean(dimensions.values()) if dimensions else None)


def top_k(reviews: Sequence[Grades], proposals: int, k: int) -> tuple[int, ...]:
    """P_k = argmax over subsets of size k of sum_{i in P} (1/m) sum_j G(p_i, R_j), best first.

    The sum is separable, so the best subset holds the k best totals. Ties keep the order of the proposals. A
    proposal without any grade comes after every graded one.
    """
    ranked = sorted(standings(reviews, proposals), key=_best_first)
    return tuple(standing.proposal for standing in ranked[: max(k, 0)])


def _best_first(standing: Standing) -> tuple[bool, float, int]:
    return standing.total is None, -(standing.total or 0.0), standing.proposal


def agreement(reviews: Sequence[Grades], proposals: int) -> float | None:
    """Mean over pairs of reviewers of Kendall's tau-b between their totals; None where no pair can be compared."""
    totals = [[standing.total for standing in standings([grades], proposals)] for grades in reviews]
    taus = [tau for first, second in combinations(totals, 2) if (tau := _pair(first, second)) is not None]
    return fmean(taus) if taus else None


def _pair(first: Sequence[float | None], second: Sequence[float | None]) -> float | None:
    both = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    return kendall_tau([a for a, _ in both], [b for _, b in both])


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b (Kendall 1945), in [-1, 1]; None where either side has all values tied."""
    concordance, untied_first, untied_second = 0, 0, 0
    for i, j in combinations(range(len(first)), 2):
        a, b = _sign(first[i] - first[j]), _sign(second[i] - second[j])
        concordance += a * b
        untied_first += a != 0
        untied_second += b != 0
    scale = sqrt(untied_first * untied_second)
    return concordance / scale if scale else None


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
