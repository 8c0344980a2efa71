"""An evaluation: a moving mean of the global models is judged, while clients go on from the last one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedwright_federation.algorithm import (
    Aggregate,
    Evaluation,
    Named,
    Round,
    ServerOptimizer,
    Sgd,
    Strategy,
    Tree,
)


@dataclass(frozen=True)
class Averaging(ServerOptimizer):
    """x <- x + D, and beside it mean <- keep mean + (1 - keep) x."""

    keep: float = 0.8

    features = frozenset({"server-state"})

    def start(self, x: Tree, shared: frozenset[str]) -> Named:
        return {"mean": {key: x[key] for key in sorted(shared)}}

    def step(self, x: Tree, aggregate: Aggregate, state: Named, round: Round) -> tuple[Tree, Named]:
        del round
        keep = np.float32(self.keep)
        moved = {key: value + aggregate.update[key] for key, value in x.items()}
        return moved, {"mean": {key: keep * old + (1 - keep) * moved[key] for key, old in state["mean"].items()}}


@dataclass(frozen=True)
class JudgeMean(Evaluation):
    """The model that is judged: the mean for keys that have one, the global model for the rest."""

    def published(self, x: Tree, state: Named) -> Tree:
        return {**x, **state["mean"]}


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    chosen = {"lr": 0.1, "keep": 0.8, **hyperparameters}
    return Strategy(
        name="JudgedMean",
        local=Sgd(lr=chosen["lr"]),
        server=Averaging(chosen["keep"]),
        evaluation=JudgeMean(),
        hyperparameters=chosen,
    )
