"""Model-contrastive learning (MOON, Q. Li, He and Song 2021): features near the global model's, far from the client's last."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from fedwright_federation.algorithm import (
    ClientState,
    LocalOutcome,
    LossTerm,
    Model,
    Named,
    Out,
    Role,
    Round,
    Start,
    Step,
    Tensors,
    Tree,
    View,
)
from fedwright_federation.models.layers import affine, uniform
from fedwright_federation.parts.surgery import Surgery

PREVIOUS = "previous"


@dataclass(frozen=True)
class ModelContrast(LossTerm):
    """mu * -log(e^{cos(z, z_global)/T} / (e^{cos(z, z_global)/T} + e^{cos(z, z_previous)/T})) (section 3).

    z is what the head sees. Both frozen models run as in evaluation, and no gradient enters them. In a client's first
    participation z_previous is z_global, so the term is mu * log 2 and its gradient zero.
    """

    mu: float = 1.0
    temperature: float = 0.5

    features = frozenset({"global-head"})
    needs = frozenset({"features"})
    cohort = True

    def __call__(self, step: Step) -> Tensor:
        z = flat(step.out.features[-1], step.y)
        with torch.no_grad():
            towards = flat(step.model.forward(step.start, step.x, train=False).features[-1], step.y)
            previous = step.start | step.state[PREVIOUS]
            away = flat(step.model.forward(previous, step.x, train=False).features[-1], step.y)
        near, far = functional.cosine_similarity(z, towards, dim=-1), functional.cosine_similarity(z, away, dim=-1)
        return self.mu * functional.softplus((far - near) / self.temperature).mean(-1)


def flat(features: Tensor, y: Tensor) -> Tensor:
    """[B, d] or [K, B, d], whatever follows the batch axis; y has one label a sample."""
    return features.flatten(y.dim())


@dataclass(frozen=True)
class PreviousModel(ClientState):
    """The client's model after its last participation; the downloaded one before the first."""

    features = frozenset({"client-state"})

    def begin(self, start: Start, round: Round) -> Named:
        del round
        return {PREVIOUS: dict(start.weights)}

    def update(
        self, state: Named, start: Start, published: Named, outcome: LocalOutcome, round: Round
    ) -> tuple[Named, Named]:
        del state, start, published, round
        return {PREVIOUS: dict(outcome.weights)}, {}


@dataclass(frozen=True)
class ProjectionHead(View):
    """Two layers between the last block and the head (section 3), as wide as what they stand between."""

    needs = frozenset({"features"})

    def model(self, base: Model) -> Model:
        return WithProjection(base) if "features" in base.capabilities else base


@dataclass(frozen=True)
class WithProjection(Surgery):
    """One more block: keys `projection.0|1.weight|bias`, on the flattened features of the last one."""

    @property
    def capabilities(self) -> frozenset[str]:
        return self.base.capabilities - {"width"}

    @property
    def blocks(self) -> int:
        return self.base.blocks + 1

    def init(self, seed: int) -> Tree:
        tree = self.base.init(seed)
        rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
        head = max(
            (value for key, value in tree.items() if self.base.role(key) == "head"), key=lambda value: value.ndim
        )
        width = head.size // self.classes
        for k in range(2):
            tree[f"projection.{k}.weight"] = uniform(rng, width, (width, width))
            tree[f"projection.{k}.bias"] = uniform(rng, width, (width,))
        return tree

    def forward(self, tree: Tensors, x: Tensor, train: bool) -> Out:
        return self._project(tree, self.base.forward(tree, x, train), train)

    def forward_from(self, tree: Tensors, block: int, hidden: Tensor, train: bool) -> Out:
        if block == self.blocks:
            return self.base.forward_from(tree, block - 1, hidden, train)
        out = self.base.forward_from(tree, block, hidden, train)
        return self._project(tree, out if out.features else out._replace(features=(hidden,)), train)

    def _project(self, tree: Tensors, out: Out, train: bool) -> Out:
        last = out.features[-1]
        z = last.flatten(tree["projection.0.weight"].dim() - 1)
        for k in range(2):
            z = affine(torch.relu(z) if k else z, tree[f"projection.{k}.weight"], tree[f"projection.{k}.bias"])
        projected = z.view(last.shape)
        logits = self.base.forward_from(tree, self.base.blocks, projected, train).logits
        return out._replace(logits=logits, features=(*out.features, projected))

    def role(self, key: str) -> Role:
        return "projection" if key.startswith("projection.") else self.base.role(key)

    def block(self, key: str) -> int:
        if key.startswith("projection."):
            return self.base.blocks
        block = self.base.block(key)
        return self.blocks if block == self.base.blocks else block

    def axes(self, key: str) -> tuple[str | None, ...]:
        if not key.startswith("projection."):
            return self.base.axes(key)
        return (None, None) if key.endswith(".weight") else (None,)
