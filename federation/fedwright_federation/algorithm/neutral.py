"""What every slot does where a strategy says nothing. Together they are FedAvg (McMahan et al. 2017, algorithm 1)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from fedwright_federation.algorithm.parts import (
    Aggregate,
    ClientInfo,
    Codec,
    Combiner,
    Evaluation,
    Finish,
    LocalJob,
    LocalPlan,
    LocalUpdate,
    LossTerm,
    Phase,
    Report,
    Round,
    Schedule,
    Selection,
    ServerOptimizer,
    Step,
    Training,
    View,
    Weighting,
    Weights,
)
from fedwright_federation.algorithm.tree import Arrays, Named, Tree, add


@dataclass(frozen=True)
class UniformSelection(Selection):
    """max(1, round(participation * N)) clients, drawn evenly from those available."""

    def select(self, pool: Sequence[ClientInfo], round: Round) -> list[int]:
        wanted = max(1, math.floor(round.training.participation * round.population + 0.5))
        ids = np.array([client.id for client in pool], dtype=np.int64)
        drawn = round.stream("cohort", 0).permutation(ids)[:wanted]
        return sorted(int(i) for i in drawn)


def planned_steps(client: ClientInfo, training: Training) -> int:
    """The training's steps; E epochs are ceil(E * n_i / b_i) full batches of b_i = min(B, n_i)."""
    if training.steps is not None:
        return training.steps if client.samples else 0
    batch = min(training.batch_size, client.samples)
    return math.ceil((training.epochs or 1.0) * client.samples / batch - 1e-9) if batch else 0


@dataclass(frozen=True)
class Steady(Schedule):
    """The training's number of steps for everyone, at lr * decay^(round - 1)."""

    decay: float = 1.0

    def plan(self, client: ClientInfo, round: Round) -> LocalPlan:
        phase = Phase(planned_steps(client, round.training), lr_factor=self.decay ** (round.number - 1))
        return LocalPlan((phase,))


@dataclass(frozen=True)
class Whole(View):
    """The model as requested, all of it, shared by all."""


@dataclass(frozen=True)
class Raw(Codec):
    """Float32 as it is."""

    def encode(self, update: Tree, memory: Tree, rng: np.random.Generator, round: Round) -> tuple[Arrays, Tree]:
        del memory, rng, round
        return dict(update), {}

    def decode(self, message: Arrays, like: Tree, round: Round) -> Tree:
        del like, round
        return {key: np.asarray(value, dtype=np.float32) for key, value in message.items()}


@dataclass(frozen=True)
class CrossEntropy(LossTerm):
    """Mean over the batch of -log softmax(logits)[label]."""

    cohort = True

    def __call__(self, step: Step) -> Tensor:
        return cross_entropy(step.out.logits, step.y)


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """logits [..., B, C] and labels [..., B] give the batch's mean, shape [...] ."""
    if logits.dim() == 2:
        return functional.cross_entropy(logits, y)
    clients, batch, classes = logits.shape
    each = functional.cross_entropy(logits.reshape(-1, classes), y.reshape(-1), reduction="none")
    return each.view(clients, batch).mean(-1)


@dataclass(frozen=True)
class Sgd(LocalUpdate):
    """v <- momentum v + g;  w <- w - lr v. Buffers start at zero in each phase and are never kept between rounds."""

    lr: float = 0.1
    momentum: float = 0.0

    cohort = True

    def run(self, job: LocalJob) -> Named:
        for walk in job.walks():
            velocity = walk.buffers("velocity") if self.momentum else []
            rate = -self.lr * walk.lr_factor
            for _ in range(walk.steps):
                direction = walk.gradients()
                if self.momentum:
                    torch._foreach_mul_(velocity, self.momentum)
                    torch._foreach_add_(velocity, direction)
                    direction = velocity
                torch._foreach_add_(walk.weights, direction, alpha=rate)
        return {}

    def travel(self, plan: LocalPlan, contraction: float) -> float:
        """The solver's own recurrence under a gradient of 1, so that momentum and proximal terms are exact (FedNova,
        section 4, gives the closed forms)."""
        moved = 0.0
        for phase in plan.phases:
            velocity, rate = 0.0, self.lr * phase.lr_factor
            for _ in range(phase.steps):
                velocity = self.momentum * velocity + 1.0 - contraction * moved
                moved += rate * velocity
        return moved


@dataclass(frozen=True)
class BySamples(Weighting):
    """p_i = n_i / sum over the cohort of n_j."""

    def weigh(self, reports: Sequence[Report], state: Named, round: Round) -> tuple[Weights, Named]:
        del round
        samples = np.array([report.samples for report in reports], dtype=np.float64)
        return Weights(samples / samples.sum(), np.ones(len(reports))), state


@dataclass(frozen=True)
class WeightedMean(Combiner):
    """Per coordinate sum_i p_i M_i d_i / sum_i p_i M_i over its holders (HeteroFL, equation 3; FedAvg where all hold all)."""

    def combine(self, reports: Sequence[Report], share: NDArray[np.float64], round: Round) -> Tree:
        del round
        return {key: _mean(reports, share, key) for key in reports[0].update}


def _mean(reports: Sequence[Report], share: NDArray[np.float64], key: str) -> NDArray[np.float32]:
    updates = np.stack([report.update[key] for report in reports]).astype(np.float64)
    if all(report.mask is None for report in reports):
        return np.asarray(np.tensordot(share / share.sum(), updates, axes=1), dtype=np.float32)
    whole = np.ones(updates.shape[1:], dtype=np.bool_)
    held = np.stack([whole if report.mask is None else report.mask[key] for report in reports])
    total = np.tensordot(share, held.astype(np.float64), axes=1)
    summed = np.tensordot(share, updates * held, axes=1)
    return np.asarray(summed / np.where(total > 0, total, 1.0), dtype=np.float32)


@dataclass(frozen=True)
class ServerSgd(ServerOptimizer):
    """x <- x + lr * D; lr 1 is FedAvg."""

    lr: float = 1.0

    def step(self, x: Tree, aggregate: Aggregate, state: Named, round: Round) -> tuple[Tree, Named]:
        del round
        if self.lr == 1.0:
            return add(x, aggregate.update), state
        return {key: value + np.float32(self.lr) * aggregate.update[key] for key, value in x.items()}, state


@dataclass(frozen=True)
class NoFinish(Finish):
    def finish(self, x: Tree, aggregate: Aggregate, round: Round) -> Tree:
        del aggregate, round
        return x


@dataclass(frozen=True)
class GlobalModel(Evaluation):
    """The global model; where keys are private, the client's own beside the shared ones."""
