"""A codec: the greatest coordinates of each tensor travel, and what was left out is added to the next update."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedwright_federation.algorithm import Arrays, Codec, Round, Sgd, Strategy, Tree


@dataclass(frozen=True)
class TopK(Codec):
    """The share of coordinates with the greatest magnitude, with error feedback (Stich et al. 2018)."""

    share: float = 0.1

    features = frozenset({"biased"})

    def encode(self, update: Tree, memory: Tree, rng: np.random.Generator, round: Round) -> tuple[Arrays, Tree]:
        del rng, round
        message: Arrays = {}
        left: Tree = {}
        for key in sorted(update):
            flat = (update[key] + memory[key] if key in memory else update[key]).reshape(-1)
            count = max(1, round_up(self.share * flat.size))
            kept = np.sort(np.argsort(-np.abs(flat), kind="stable")[:count])
            message[f"{key}/at"], message[f"{key}/value"] = kept.astype(np.int32), flat[kept]
            rest = flat.copy()
            rest[kept] = 0
            left[key] = rest.reshape(update[key].shape)
        return message, left

    def decode(self, message: Arrays, like: Tree, round: Round) -> Tree:
        del round
        decoded = {key: np.zeros(value.size, dtype=np.float32) for key, value in like.items()}
        for key, flat in decoded.items():
            flat[message[f"{key}/at"].astype(np.intp)] = message[f"{key}/value"]
        return {key: flat.reshape(like[key].shape) for key, flat in decoded.items()}


def round_up(value: float) -> int:
    return int(np.ceil(value))


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    chosen = {"lr": 0.1, "share": 0.1, **hyperparameters}
    return Strategy(name="TopK", local=Sgd(lr=chosen["lr"]), upload=TopK(chosen["share"]), hyperparameters=chosen)
