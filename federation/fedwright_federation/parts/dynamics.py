"""Dynamic regularisation (FedDyn, Acar et al. 2021): clients' stationary points are moved onto the global one.

h_i estimates the gradient of client i's loss at its own solution, and h at the server is the mean of all N of them (algorithm 1):

    client   min_w F_i(w) - <h_i, w> + alpha/2 ||w - x||^2,   h_i <- h_i - alpha d_i
    server   h <- h - alpha |S|/N D,   x <- x + D - h/alpha,  D = mean of the cohort's d_i

alpha 0 turns all of it off. Local steps need weight decay or clipping to stay bounded over many rounds.
"""

from dataclasses import dataclass

import numpy as np

from fedwright_federation.algorithm import (
    Aggregate,
    Array,
    ClientState,
    Evaluation,
    GradientTerm,
    LocalOutcome,
    Named,
    Round,
    ServerOptimizer,
    Start,
    Step,
    Tensors,
    Tree,
)
from fedwright_federation.algorithm.tree import pick, zeros_like

STATE = "dynamic"


@dataclass(frozen=True)
class DynamicRegularizer(GradientTerm):
    """- h_i + alpha (w - x), on the shared keys."""

    alpha: float

    features = frozenset({"dynamic-regularizer"})
    cohort = True

    @property
    def contraction(self) -> float:
        return self.alpha

    def __call__(self, step: Step) -> Tensors:
        linear = step.state[STATE]
        keys = [key for key in step.trained if key in linear]
        return {key: self.alpha * (step.weights[key] - step.start[key]) - linear[key] for key in keys}


@dataclass(frozen=True)
class LocalGradient(ClientState):
    """h_i, zero before the first participation."""

    alpha: float

    features = frozenset({"client-state"})

    def begin(self, start: Start, round: Round) -> Named:
        del round
        return {STATE: zeros_like(pick(start.weights, sorted(start.shared)))}

    def update(
        self, state: Named, start: Start, published: Named, outcome: LocalOutcome, round: Round
    ) -> tuple[Named, Named]:
        del start, published, round
        alpha = np.float32(self.alpha)
        return {STATE: {key: h - alpha * outcome.update[key] for key, h in state[STATE].items()}}, {}


@dataclass(frozen=True)
class DynamicServer(ServerOptimizer):
    """h and the step that uses it. With sub-models both go by the holders of each coordinate."""

    alpha: float

    features = frozenset({"server-rule"})

    def start(self, x: Tree, shared: frozenset[str]) -> Named:
        return {STATE: zeros_like(pick(x, sorted(shared)))}

    def step(self, x: Tree, aggregate: Aggregate, state: Named, round: Round) -> tuple[Tree, Named]:
        del round
        h = {key: self._estimate(state[STATE][key], aggregate, key) for key in x}
        return {key: self._move(value, h[key], aggregate, key) for key, value in x.items()}, {STATE: h}

    def _estimate(self, h: Array, aggregate: Aggregate, key: str) -> Array:
        fraction = np.asarray(aggregate.share(key), dtype=np.float32)
        return h - np.float32(self.alpha) * fraction * aggregate.update[key]

    def _move(self, x: Array, h: Array, aggregate: Aggregate, key: str) -> Array:
        moved = x + aggregate.update[key]
        if self.alpha:
            moved = moved - h / np.float32(self.alpha)
        if aggregate.holders is None:
            return moved
        return np.where(aggregate.holders[key][0] > 0, moved, x)


@dataclass(frozen=True)
class CohortMean(Evaluation):
    """The mean of the last cohort's models, x + h/alpha, which is what the authors report: x itself leads them."""

    alpha: float

    def published(self, x: Tree, state: Named) -> Tree:
        if not self.alpha:
            return x
        return {k: v + state[STATE][k] / np.float32(self.alpha) if k in state[STATE] else v for k, v in x.items()}
