"""What answers are worth: figures with a scope, from class probabilities and labels alone.

Global: the global model on all clients' rows together. PerClient: each client's own model on its own rows, the mean over
clients. p is [n, classes], y and client are [n].
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


def correct(p: Floats, y: Ints) -> NDArray[np.bool_]:
    """[n], whether the first most probable class is the true one."""
    return np.asarray(p.argmax(-1) == y)


def losses(p: Floats, y: Ints) -> NDArray[np.float64]:
    """[n], cross-entropy in nats."""
    return -np.log(np.maximum(p[np.arange(len(y)), y].astype(np.float64), 1e-12))


def by_client(values: NDArray[np.generic], client: Ints, clients: int) -> NDArray[np.float64]:
    """[clients], each client's mean; not a number for a client without rows."""
    rows = np.bincount(client, minlength=clients)
    total = np.bincount(client, weights=values.astype(np.float64), minlength=clients)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / rows)


def worst_tenth(per_client: Floats) -> float:
    """Mean of the ceil(N / 10) smallest."""
    return float(np.sort(per_client)[: math.ceil(len(per_client) / 10)].mean())


def rounds_to_target(rounds: Sequence[int], accuracy: Sequence[float], target: float) -> int:
    """The first judged round that reaches the target; one more than the last where none does."""
    return next((number for number, value in zip(rounds, accuracy, strict=True) if value >= target), rounds[-1] + 1)


def average_accuracy(last: Mapping[int, float]) -> float:
    """Mean over stages of the accuracy after the last one: A = mean_j A[T, j]."""
    return float(np.mean(list(last.values())))


def forgetting(after: Mapping[int, Mapping[int, float]]) -> float:
    """F = mean over all stages j but the last of max_{j <= k < T} A[k, j] - A[T, j]; `after[k][j]` is A[k, j].

    Zero where there was one stage alone: nothing came before it that could be forgotten.
    """
    *before, last = sorted(after)
    lost = [max(after[k][j] for k in before if k >= j) - after[last][j] for j in before]
    return float(np.mean(lost)) if lost else 0.0
