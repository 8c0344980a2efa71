"""A server optimizer: every tensor of the mean update is cut to a greatest length before momentum takes it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedwright_federation.algorithm import Aggregate, Array, Named, Round, ServerOptimizer, Sgd, Strategy, Tree


@dataclass(frozen=True)
class ClippedMomentum(ServerOptimizer):
    """v <- beta v + min(1, limit / ||D||) D;  x <- x + lr v, tensor by tensor. D is after minus before."""

    beta: float = 0.9
    lr: float = 0.3
    limit: float = 1.0

    features = frozenset({"server-state"})

    def start(self, x: Tree, shared: frozenset[str]) -> Named:
        return {"velocity": {key: np.zeros_like(x[key]) for key in sorted(shared)}}

    def step(self, x: Tree, aggregate: Aggregate, state: Named, round: Round) -> tuple[Tree, Named]:
        del round
        beta, lr = np.float32(self.beta), np.float32(self.lr)
        velocity = {key: beta * v + self.clipped(aggregate.update[key]) for key, v in state["velocity"].items()}
        return {key: value + lr * velocity[key] for key, value in x.items()}, {"velocity": velocity}

    def clipped(self, update: Array) -> Array:
        length = float(np.linalg.norm(update))
        return update * np.float32(min(1.0, self.limit / length)) if length else update


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    chosen = {"lr": 0.1, "beta": 0.9, "server_lr": 0.3, "limit": 1.0, **hyperparameters}
    return Strategy(
        name="ClippedMomentum",
        local=Sgd(lr=chosen["lr"]),
        server=ClippedMomentum(chosen["beta"], chosen["server_lr"], chosen["limit"]),
        hyperparameters=chosen,
    )
