"""Updates as truncated singular value decompositions, whose precision grows from round to round (FedKD, C. Wu et al. 2022)."""

from dataclasses import dataclass

import numpy as np

from fedwright_federation.algorithm import Array, Arrays, Codec, Round, Tree


@dataclass(frozen=True)
class LowRank(Codec):
    """The smallest rank k whose singular values hold more than T of the energy: sum_{j <= k} s_j^2 > T sum_j s_j^2.

    T goes evenly from `first` in round 1 to `last` in the last one (Wu et al. 2022, Methods, dynamic gradient approximation).
    A matrix [m, n] becomes U diag(s) [m, k] and V^T [k, n]; arrays of more axes are matrices [first axis, rest]. What has one
    axis, or would not get smaller, is sent as it is. There is no error feedback, as in the paper, so the codec has a bias.
    """

    first: float = 0.95
    last: float = 0.98

    features = frozenset({"biased"})

    def encode(self, update: Tree, memory: Tree, rng: np.random.Generator, round: Round) -> tuple[Arrays, Tree]:
        del memory, rng
        energy = self.first + (self.last - self.first) * round.progress
        message: Arrays = {}
        for key, value in update.items():
            message |= _truncated(key, value, energy)
        return message, {}

    def decode(self, message: Arrays, like: Tree, round: Round) -> Tree:
        del round
        return {key: _restored(key, message, value) for key, value in like.items()}


def _truncated(key: str, value: Array, energy: float) -> Arrays:
    if value.ndim < 2 or not np.isfinite(value).all():
        return {key: value}
    u, s, v = np.linalg.svd(value.reshape(value.shape[0], -1), full_matrices=False)
    k = rank_for(s, energy)
    if k * (u.shape[0] + v.shape[1]) >= value.size:
        return {key: value}
    return {f"{key}:u": np.ascontiguousarray(u[:, :k] * s[:k]), f"{key}:v": np.ascontiguousarray(v[:k])}


def rank_for(singular: Array, energy: float) -> int:
    """At least 1, and all of them where no sum exceeds the threshold."""
    held = np.cumsum(singular.astype(np.float64) ** 2)
    return min(len(held), int(np.searchsorted(held, energy * held[-1], side="right")) + 1)


def _restored(key: str, message: Arrays, like: Array) -> Array:
    if key in message:
        return np.asarray(message[key], dtype=np.float32)
    u, v = (np.asarray(message[f"{key}:{side}"], dtype=np.float32) for side in "uv")
    return (u @ v).reshape(like.shape)
