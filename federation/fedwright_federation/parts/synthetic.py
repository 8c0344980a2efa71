"""Clients that send synthetic samples instead of weights, and a server that trains on them (FedDM, Xiong et al. 2023).

Running statistics of norm layers are used as they are and never refreshed, neither at clients nor at the server: synthetic
batches would spoil them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedwright_federation.algorithm import (
    Aggregate,
    Arrays,
    ClientInfo,
    Codec,
    Finish,
    LocalJob,
    LocalPlan,
    LocalUpdate,
    Model,
    Named,
    Phase,
    Round,
    Schedule,
    Tensors,
    Tree,
)
from fedwright_federation.algorithm.neutral import cross_entropy
from fedwright_federation.algorithm.tree import zeros_like

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Exactly(Schedule):
    """So many steps for everyone, whatever the training says: matching is counted in steps of its own."""

    steps: int = 100

    def plan(self, client: ClientInfo, round: Round) -> LocalPlan:
        del round
        return LocalPlan((Phase(self.steps if client.samples else 0),))


@dataclass(frozen=True)
class DistributionMatching(LocalUpdate):
    """Optimises `per_class` samples for each class held so that they look like the real ones to models near the present one.

    Each step draws w in the ball of `radius` around the downloaded weights and moves the samples of every class c by
    -lr times the gradient of ||mean h_w(D_c) - mean h_w(S_c)||^2 + ||mean z_w(D_c) - mean z_w(S_c)||^2, with h the last
    features, z the logits, and D_c a batch of at most `batch_size` real samples (Xiong et al. 2023, section 3).
    Classes are matched apart. Samples start as real ones (`from_real`) or as noise with each input's mean and deviation.
    Gives `synthetic`: x [classes held * per_class, ...] and y, labels as float32.
    """

    per_class: int = 10
    lr: float = 1.0
    radius: float = 5.0
    batch_size: int = 64
    from_real: bool = False

    features = frozenset({"no-gradient-steps", "synthetic-data"})
    needs = frozenset({"features"})

    def run(self, job: LocalJob) -> Named:
        y = job.y.cpu().numpy()
        rows = [np.flatnonzero(y == label) for label in np.unique(y)]
        samples = torch.cat([self._begin(job.x[_beside(job.x, own)], job.rng) for own in rows]).requires_grad_()
        for walk in job.walks():
            for _ in range(walk.steps):
                with torch.enable_grad():
                    (gradient,) = torch.autograd.grad(self._gap(job, rows, samples), samples)
                samples.data.sub_(gradient, alpha=self.lr * walk.lr_factor)
        labels = np.unique(y).repeat(self.per_class).astype(np.float32)
        return {SYNTHETIC: {"x": samples.detach().cpu().numpy(), "y": labels}}

    def _begin(self, real: Tensor, rng: np.random.Generator) -> Tensor:
        if self.from_real:
            chosen = rng.choice(len(real), self.per_class, replace=len(real) < self.per_class)
            return real[_beside(real, chosen)].clone()
        noise = _beside(real, rng.standard_normal((self.per_class, *real.shape[1:])).astype(np.float32))
        return real.mean(0) + noise * real.std(0, correction=0)

    def _gap(self, job: LocalJob, rows: Sequence[NDArray[np.intp]], samples: Tensor) -> Tensor:
        """The sum over classes, at one draw of the weights."""
        weights = near(job.weights, self.radius, job.model, job.rng)
        drawn = [job.rng.permutation(own)[: self.batch_size] for own in rows]
        with torch.no_grad():
            real = outputs(job.model, weights, job.x[_beside(job.x, np.concatenate(drawn))])
            goals = torch.stack([part.mean(0) for part in torch.split(real, [len(part) for part in drawn])])
        made = outputs(job.model, weights, samples)
        return (made.view(len(rows), self.per_class, -1).mean(1) - goals).square().sum()


def outputs(model: Model, weights: Tensors, x: Tensor) -> Tensor:
    """[B, features + classes]: the last features and the logits, side by side."""
    out = model.forward(weights, x, train=False)
    return torch.cat([out.features[-1].flatten(1), out.logits], dim=1)


def near(weights: Tensors, radius: float, model: Model, rng: np.random.Generator) -> Tensors:
    """Trainable weights moved by a random distance of at most `radius` in a random direction."""
    keys = [key for key in weights if model.role(key) != "bn_stat"]
    noise = {
        key: _beside(weights[key], rng.standard_normal(tuple(weights[key].shape)).astype(np.float32)) for key in keys
    }
    length = torch.stack([value.square().sum() for value in noise.values()]).sum().sqrt()
    reach = radius * rng.random()
    return weights | {key: weights[key] + value * (reach / length) for key, value in noise.items()}


def _beside(tensor: Tensor, array: NDArray[Any]) -> Tensor:
    """The array as a tensor on that tensor's device."""
    return torch.from_numpy(array).to(tensor.device)


@dataclass(frozen=True)
class NoUpdate(Codec):
    """Sends nothing: the update is zero."""

    def encode(self, update: Tree, memory: Tree, rng: np.random.Generator, round: Round) -> tuple[Arrays, Tree]:
        del update, memory, rng, round
        return {}, {}

    def decode(self, message: Arrays, like: Tree, round: Round) -> Tree:
        del message, round
        return zeros_like(like)


@dataclass(frozen=True)
class TrainOnUnion(Finish):
    """SGD on the cohort's synthetic samples of this round, kept in the ball of `radius` around the round's model.

    Xiong et al. 2023, algorithm 1: outside of the ball the samples say nothing of the clients' losses.
    """

    steps: int = 200
    lr: float = 0.1
    batch_size: int = 64
    radius: float = 5.0

    def finish(self, x: Tree, aggregate: Aggregate, round: Round) -> Tree:
        data = aggregate.reduced.get(SYNTHETIC)
        if data is None:
            return x
        inputs, labels = torch.from_numpy(data["x"]), torch.from_numpy(data["y"]).long()
        start = {key: torch.from_numpy(value.copy()) for key, value in x.items()}
        weights = dict(start)
        keys = [key for key in x if round.model.role(key) != "bn_stat"]
        for rows in self._batches(len(labels), round.stream("server", 0)):
            leaves = {key: weights[key].detach().requires_grad_() for key in keys}
            with torch.enable_grad():
                out = round.model.forward(weights | leaves, inputs[rows], train=False)
                gradients = torch.autograd.grad(cross_entropy(out.logits, labels[rows]), list(leaves.values()))
            moved = {key: leaf.detach() - self.lr * g for (key, leaf), g in zip(leaves.items(), gradients, strict=True)}
            weights |= within(start, moved, self.radius)
        return {key: value.numpy() for key, value in weights.items()}

    def _batches(self, samples: int, rng: np.random.Generator) -> Iterator[Tensor]:
        size = min(self.batch_size, samples)
        for _ in range(self.steps):
            yield torch.from_numpy(rng.permutation(samples)[:size])


def within(centre: Tensors, weights: Tensors, radius: float) -> Tensors:
    """`weights`, pulled back to the ball of `radius` around `centre` if they lie outside."""
    offsets = {key: value - centre[key] for key, value in weights.items()}
    length = torch.stack([offset.square().sum() for offset in offsets.values()]).sum().sqrt()
    if length <= radius:
        return weights
    return {key: centre[key] + offset * (radius / length) for key, offset in offsets.items()}
