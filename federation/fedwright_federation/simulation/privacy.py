"""Differential privacy around every strategy's update: clipping, noise and accounting are the platform's, never a part's.

*Client*: the server clips each update to norm Z, adds N(0, (z Z)^2) to their sum and divides by the expected cohort
(McMahan et al. 2018, algorithm 1). Every client counts the same, cohorts are drawn by independent coins, and neighbours
differ by one client.

*Example*: each local step clips every example's gradient to Z and adds N(0, (2 z Z)^2) to their sum (Abadi et al. 2016,
algorithm 1). Batches have a fixed size and are drawn anew, and neighbours differ in one example's value, so the sum moves
by at most 2 Z.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from fedwright_federation.algorithm.tree import Tree, norm, scale, weighted_sum

ORDERS = (*range(2, 33), 40, 48, 64)
"""Renyi orders; the best one bounds epsilon, so a shorter list is never unsound."""
LEAST_NOISE, MOST_NOISE = 0.05, 1e4


class PrivacyUnreachableError(ValueError):
    """No amount of noise that is worth running reaches the epsilon asked for."""


class PrivacySpentError(ValueError):
    """One more release would pass the epsilon asked for."""


@dataclass(frozen=True)
class PrivacySpec:
    """`unit` is Client or Example; (epsilon, delta) hold for the whole run."""

    unit: str
    epsilon: float
    delta: float
    clip_norm: float = 1.0


@dataclass(frozen=True)
class Mechanism:
    """What is released again and again: a Gaussian over a random sample of the units.

    A coin of probability `rate` a client for unit Client; a fixed number of `sample` out of `population` examples for unit
    Example.
    """

    unit: str
    rate: float = 1.0
    sample: int = 1
    population: int = 1


@lru_cache(maxsize=4096)
def epsilon_spent(mechanism: Mechanism, noise_multiplier: float, times: int, delta: float) -> float:
    """Epsilon of that many releases, by Renyi accounting; zero before the first."""
    if not times:
        return 0.0
    from dp_accounting import dp_event  # takes a second, and few runs are private

    accountant = _accountant(mechanism.unit)
    accountant.compose(dp_event.SelfComposedDpEvent(_event(mechanism, noise_multiplier), times))
    return float(accountant.get_epsilon(delta))


@lru_cache(maxsize=1024)
def noise_for(mechanism: Mechanism, times: int, epsilon: float, delta: float) -> float:
    """The smallest noise multiplier z, to 0.1%, at which that many releases stay within epsilon.

    Raises `PrivacyUnreachableError`.
    """
    low, high = LEAST_NOISE, MOST_NOISE
    if not times or epsilon_spent(mechanism, low, times, delta) <= epsilon:
        return low
    if epsilon_spent(mechanism, high, times, delta) > epsilon:
        raise PrivacyUnreachableError(
            f"spec.privacy.epsilon {epsilon} at delta {delta} cannot be reached in {times} releases; raise epsilon or delta"
        )
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if epsilon_spent(mechanism, middle, times, delta) <= epsilon else (middle, high)
    return high


def _accountant(unit: str) -> Any:
    from dp_accounting import NeighboringRelation, rdp

    relation = NeighboringRelation.REPLACE_ONE if unit == "Example" else NeighboringRelation.ADD_OR_REMOVE_ONE
    return rdp.RdpAccountant(ORDERS, relation)


def _event(mechanism: Mechanism, noise_multiplier: float) -> Any:
    from dp_accounting import dp_event

    gaussian = dp_event.GaussianDpEvent(noise_multiplier)
    if mechanism.unit == "Example":
        return dp_event.SampledWithoutReplacementDpEvent(mechanism.population, mechanism.sample, gaussian)
    return dp_event.PoissonSampledDpEvent(mechanism.rate, gaussian)


def clipped(update: Tree, bound: float) -> Tree:
    """The update, shortened to norm `bound` if it is longer."""
    length = norm(update)
    return update if length <= bound else scale(update, bound / length)


def noisy_mean(
    updates: Sequence[Tree],
    like: Tree,
    spec: PrivacySpec,
    noise_multiplier: float,
    expected: float,
    rng: np.random.Generator,
) -> Tree:
    """(sum of clipped updates + N(0, (z Z)^2)) / expected cohort. An empty cohort releases noise alone, as it must."""
    total = weighted_sum([clipped(u, spec.clip_norm) for u in updates], [1.0] * len(updates)) if updates else None
    deviation = noise_multiplier * spec.clip_norm
    noise = {key: rng.normal(0.0, deviation, value.shape) for key, value in like.items()}
    return {
        key: np.asarray((draw + (total[key] if total else 0.0)) / expected, dtype=np.float32)
        for key, draw in noise.items()
    }
