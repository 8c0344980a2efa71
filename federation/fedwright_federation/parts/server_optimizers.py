"""How the global model moves along the combined update D = sum_i p_i (x_i - x)."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from fedwright_federation.algorithm import Aggregate, Array, Named, Round, ServerOptimizer, ServerSgd, Tree


@dataclass(frozen=True)
class ServerMomentum(ServerOptimizer):
    """v <- beta v + D;  x <- x + lr v (Hsu et al. 2019, section 4; the sum form, whose effective step is lr/(1 - beta))."""

    beta: float = 0.9
    lr: float = 1.0

    features = frozenset({"server-state"})

    def start(self, x: Tree, shared: frozenset[str]) -> Named:
        return {"momentum": {key: np.zeros_like(x[key]) for key in sorted(shared)}}

    def step(self, x: Tree, aggregate: Aggregate, state: Named, round: Round) -> tuple[Tree, Named]:
        del round
        beta, lr = np.float32(self.beta), np.float32(self.lr)
        velocity = {key: beta * v + aggregate.update[key] for key, v in state["momentum"].items()}
        return {key: value + lr * velocity[key] for key, value in x.items()}, {"momentum": velocity}


@dataclass(frozen=True)
class Adaptive(ServerOptimizer):
    """FedAdagrad, FedAdam and FedYogi (Reddi et al. 2021, algorithm 2), without bias correction.

    m <- beta1 m + (1 - beta1) D;  x <- x + lr m / (sqrt(v) + tau), with v starting at tau^2 and
    Adagrad v + D^2;  Adam beta2 v + (1 - beta2) D^2;  Yogi v - (1 - beta2) D^2 sign(v - D^2).
    """

    rule: Literal["adagrad", "adam", "yogi"] = "adam"
    lr: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3

    features = frozenset({"server-state"})

    def start(self, x: Tree, shared: frozenset[str]) -> Named:
        keys = sorted(shared)
        return {
            "first": {key: np.zeros_like(x[key]) for key in keys},
            "second": {key: np.full_like(x[key], self.tau**2) for key in keys},
        }

    def step(self, x: Tree, aggregate: Aggregate, state: Named, round: Round) -> tuple[Tree, Named]:
        del round
        beta, lr, tau = np.float32(self.beta1), np.float32(self.lr), np.float32(self.tau)
        update = aggregate.update
        first: Tree = {key: beta * m + (np.float32(1) - beta) * update[key] for key, m in state["first"].items()}
        second = {key: self._second(v, np.square(update[key])) for key, v in state["second"].items()}
        steps = {key: lr * m / (np.sqrt(second[key]) + tau) for key, m in first.items()}
        moved = {key: np.asarray(value + steps[key], dtype=np.float32) for key, value in x.items()}
        return moved, {"first": first, "second": second}

    def _second(self, v: Array, square: Array) -> Array:
        left = np.float32(1 - self.beta2)
        if self.rule == "adagrad":
            return v + square
        if self.rule == "adam":
            return np.float32(self.beta2) * v + left * square
        return np.asarray(v - left * square * np.sign(v - square), dtype=np.float32)


@dataclass(frozen=True)
class ServerControl(ServerOptimizer):
    """c <- c + (1/N) sum_i dc_i over all N clients, not the cohort's m (SCAFFOLD, algorithm 1, line 17); x by `inner`."""

    inner: ServerOptimizer = field(default_factory=ServerSgd)

    @property
    def features(self) -> frozenset[str]:
        return self.inner.features | {"control-variates"}

    def start(self, x: Tree, shared: frozenset[str]) -> Named:
        return {**self.inner.start(x, shared), "control": {key: np.zeros_like(x[key]) for key in sorted(shared)}}

    def publish(self, state: Named) -> Named:
        return {**self.inner.publish(state), "control": state["control"]}

    def step(self, x: Tree, aggregate: Aggregate, state: Named, round: Round) -> tuple[Tree, Named]:
        moved, kept = self.inner.step(x, aggregate, state, round)
        share = np.float32(1.0 / aggregate.population)
        changes = aggregate.reduced["control"]
        control = {key: value + share * changes[key] for key, value in state["control"].items()}
        return moved, {**kept, "control": control}
