"""A client state with a payload: each client remembers a moving mean of its updates, and the server learns how far it is."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedwright_federation.algorithm import (
    ClientState,
    LocalOutcome,
    Named,
    Reducer,
    Round,
    Sgd,
    Start,
    Strategy,
    Tree,
)


@dataclass(frozen=True)
class UpdateMean(ClientState):
    """mean <- keep mean + (1 - keep) update; sends ||update - mean|| as the payload `surprise`, shape [1]."""

    keep: float = 0.9

    features = frozenset({"client-state", "payload"})

    @property
    def payloads(self) -> Mapping[str, Reducer]:
        return {"surprise": "mean"}

    def begin(self, start: Start, round: Round) -> Named:
        del round
        return {"mean": {key: np.zeros_like(start.weights[key]) for key in sorted(start.shared)}}

    def update(
        self, state: Named, start: Start, published: Named, outcome: LocalOutcome, round: Round
    ) -> tuple[Named, Named]:
        del start, published, round
        keep = np.float32(self.keep)
        mean = {key: keep * old + (1 - keep) * outcome.update[key] for key, old in state["mean"].items()}
        return {"mean": mean}, {"surprise": {"norm": distance(outcome.update, mean)}}


def distance(left: Tree, right: Tree) -> np.ndarray:
    squares = [float(np.square(left[key].astype(np.float64) - right[key]).sum()) for key in sorted(left)]
    return np.array([np.sqrt(sum(squares))], dtype=np.float32)


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    chosen = {"lr": 0.1, "keep": 0.9, **hyperparameters}
    return Strategy(
        name="UpdateMean", local=Sgd(lr=chosen["lr"]), states=(UpdateMean(chosen["keep"]),), hyperparameters=chosen
    )
