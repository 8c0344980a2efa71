"""Shallower models for weaker clients (DepthFL, Kim et al. 2023): early exits, self-distillation, ensembles of exits."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedwright_federation.algorithm import (
    CLASSES,
    ClientInfo,
    Evaluation,
    Frame,
    LocalPlan,
    LossTerm,
    Model,
    Out,
    Phase,
    Role,
    Round,
    Schedule,
    Step,
    Tensors,
    Tree,
    View,
)
from fedwright_federation.algorithm.neutral import cross_entropy, planned_steps
from fedwright_federation.models.layers import affine, uniform
from fedwright_federation.parts.branches import divergence
from fedwright_federation.parts.surgery import Surgery

DISTILLATION = "distillation"


@dataclass(frozen=True)
class DepthSlices(View):
    """A client holds its first D blocks and their exits, D = max(1, floor(capability * blocks)) (section 3).

    The exit of the last block is the model's own head.
    """

    features = frozenset({"frames"})
    needs = frozenset({"features"})

    def model(self, base: Model) -> Model:
        return WithExits(base)

    def frame(self, client: ClientInfo, like: Tree, round: Round) -> Frame | None:
        model = round.model
        depth = max(1, math.floor(client.capability * model.blocks + 1e-9))
        if depth >= model.blocks:
            return None
        kept = {key: value for key, value in like.items() if model.block(key) < depth}
        return Frame({key: tuple(np.arange(n, dtype=np.intp) for n in value.shape) for key, value in kept.items()})


@dataclass(frozen=True)
class WithExits(Surgery):
    """Keys `exit.<k>.weight|bias` for each block k but the last: a linear classifier of its features' mean over space.

    `Out.exits` has the logits of these, shallow to deep. On a tree without the last blocks `Out.logits` is the deepest exit
    and `Out.exits` the others.
    """

    @property
    def capabilities(self) -> frozenset[str]:
        return self.base.capabilities | {"exits"}

    def init(self, seed: int) -> Tree:
        tree = self.base.init(seed)
        rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
        for k in range(self.blocks - 1):
            width = tree[f"body.{k}.bias"].shape[0]
            tree[f"exit.{k}.weight"] = uniform(rng, width, (width, self.classes))
            tree[f"exit.{k}.bias"] = uniform(rng, width, (self.classes,))
        return tree

    def forward(self, tree: Tensors, x: Tensor, train: bool) -> Out:
        return self._exits(tree, self.base.forward(tree, x, train), 0)

    def forward_from(self, tree: Tensors, block: int, hidden: Tensor, train: bool) -> Out:
        return self._exits(tree, self.base.forward_from(tree, block, hidden, train), block)

    def _exits(self, tree: Tensors, out: Out, first: int) -> Out:
        exits = [_exit(tree, k, h) for k, h in enumerate(out.features, start=first) if f"exit.{k}.weight" in tree]
        deepest = out.logits if "head.weight" in tree else exits.pop()
        return out._replace(logits=deepest, exits=tuple(exits))

    def role(self, key: str) -> Role:
        return "exit" if key.startswith("exit.") else self.base.role(key)

    def block(self, key: str) -> int:
        return self.base.block(key)

    def axes(self, key: str) -> tuple[str | None, ...]:
        if not key.startswith("exit."):
            return self.base.axes(key)
        (group,) = self.base.axes(f"body.{key.split('.')[1]}.bias")
        return (group, CLASSES) if key.endswith(".weight") else (CLASSES,)


def _exit(tree: Tensors, k: int, features: Tensor) -> Tensor:
    weight, bias = tree[f"exit.{k}.weight"], tree[f"exit.{k}.bias"]
    leading = weight.dim()
    pooled = features if features.dim() == leading else features.flatten(leading).mean(-1)
    return affine(pooled, weight, bias)


@dataclass(frozen=True)
class SelfDistillation(LossTerm):
    """sum_k CE(z_k, y) + w/(D-1) sum_k sum_{j != k} KL(stopgrad softmax z_j || softmax z_k) over all D exits (section 3).

    w is the plan's scalar `distillation`. With one exit it is the cross entropy.
    """

    cohort = True

    def __call__(self, step: Step) -> Tensor:
        exits = (*step.out.exits, step.out.logits)
        hard = torch.stack([cross_entropy(logits, step.y) for logits in exits]).sum(0)
        if len(exits) == 1:
            return hard
        pairs = [divergence(a.detach(), b) for j, a in enumerate(exits) for k, b in enumerate(exits) if j != k]
        return hard + step.scalars[DISTILLATION] / (len(exits) - 1) * torch.stack(pairs).sum(0)


@dataclass(frozen=True)
class RampedDistillation(Schedule):
    """Steady steps; the scalar `distillation` grows from weight/ramp in round 1 to weight in round `ramp`."""

    weight: float = 1.0
    ramp: int = 10
    decay: float = 1.0

    def plan(self, client: ClientInfo, round: Round) -> LocalPlan:
        phase = Phase(planned_steps(client, round.training), self.decay ** (round.number - 1))
        return LocalPlan((phase,), {DISTILLATION: self.weight * min(1.0, round.number / max(1, self.ramp))})


@dataclass(frozen=True)
class Ensemble(Evaluation):
    """The mean of all exits' logits (section 3)."""

    needs = frozenset({"exits"})

    def logits(self, out: Out) -> Tensor:
        return torch.stack([*out.exits, out.logits]).mean(0)
