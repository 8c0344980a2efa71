"""Blocks in a row and a linear head: softmax regression, multilayer perceptrons and small convolutional networks.

Keys: `body.<k>.weight|bias`, `norm.<k>.scale|shift|mean|variance`, `head.weight|bias`. A tree without the last blocks is a
shallower model, one with narrower arrays a thinner model: the shapes in the tree decide, not the fields here.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedwright_federation.algorithm.model import CLASSES, Out, Role, Tensors
from fedwright_federation.algorithm.tree import Tree
from fedwright_federation.models.layers import affine, batch_norm, convolve, norm_init, pool, uniform


@dataclass(frozen=True)
class Sequential(ABC):
    """What all of them share. Batch norm, if asked for, comes before each ReLU."""

    input_shape: tuple[int, ...]
    classes: int
    hidden: tuple[int, ...] = ()
    """Widths, or channels, of the blocks."""
    normalised: bool = False
    scaled: bool = False
    """HeteroFL's Scaler (section 3): in training a thinner model multiplies hidden activations by full/own width."""

    @property
    def blocks(self) -> int:
        return len(self.hidden)

    @property
    def capabilities(self) -> frozenset[str]:
        able = {"head"}
        if self.hidden:
            able |= {"body", "features", "width"}
        if len(self.hidden) > 1:
            able |= {"blocks"}
        if self.normalised:
            able |= {"batch_norm"}
        return frozenset(able)

    def forward(self, tree: Tensors, x: Tensor, train: bool) -> Out:
        cohort = next(value for key, value in tree.items() if key.endswith(".bias")).dim() - 1
        return self.forward_from(tree, 0, self._enter(x, 1 + cohort), train)

    def forward_from(self, tree: Tensors, block: int, hidden: Tensor, train: bool) -> Out:
        features: list[Tensor] = []
        stats: Tensors = {}
        h = hidden
        for k in range(block, self.blocks):
            if f"body.{k}.weight" not in tree:
                break
            h = self._linear(tree, k, h)
            if self.scaled and train:
                h = h * (self.hidden[k] / tree[f"body.{k}.bias"].shape[-1])
            if self.normalised:
                h, new = batch_norm(h, tree, f"norm.{k}", train)
                stats |= new
            h = self._activate(h)
            features.append(h)
        logits = self._head(tree, h) if "head.weight" in tree else h.new_empty(0)
        return Out(logits, tuple(features), stats)

    def role(self, key: str) -> Role:
        kind, *_, last = key.split(".")
        if kind == "norm":
            return "bn_stat" if last in {"mean", "variance"} else "bn_affine"
        return "head" if kind == "head" else "body"

    def block(self, key: str) -> int:
        return self.blocks if key.startswith("head.") else int(key.split(".")[1])

    @abstractmethod
    def _enter(self, x: Tensor, leading: int) -> Tensor:
        """Inputs in the shape of the first block, keeping so many leading axes."""

    @abstractmethod
    def _linear(self, tree: Tensors, k: int, h: Tensor) -> Tensor: ...

    @abstractmethod
    def _activate(self, h: Tensor) -> Tensor: ...

    @abstractmethod
    def _head(self, tree: Tensors, h: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Mlp(Sequential):
    """Layers of ReLU units. Without hidden layers it is softmax regression."""

    def init(self, seed: int) -> Tree:
        rng = np.random.default_rng(np.random.SeedSequence(seed))
        tree: Tree = {}
        fan_in = math.prod(self.input_shape)
        for k, width in enumerate(self.hidden):
            tree[f"body.{k}.weight"] = uniform(rng, fan_in, (fan_in, width))
            tree[f"body.{k}.bias"] = uniform(rng, fan_in, (width,))
            if self.normalised:
                tree |= norm_init(f"norm.{k}", width)
            fan_in = width
        tree["head.weight"] = uniform(rng, fan_in, (fan_in, self.classes))
        tree["head.bias"] = uniform(rng, fan_in, (self.classes,))
        return tree

    def axes(self, key: str) -> tuple[str | None, ...]:
        below, own = _groups(self, key)
        return (below, own) if key.endswith(".weight") else (own,)

    def _enter(self, x: Tensor, leading: int) -> Tensor:
        return x.reshape(*x.shape[:leading], math.prod(self.input_shape))

    def _linear(self, tree: Tensors, k: int, h: Tensor) -> Tensor:
        return affine(h, tree[f"body.{k}.weight"], tree[f"body.{k}.bias"])

    def _activate(self, h: Tensor) -> Tensor:
        return torch.relu(h)

    def _head(self, tree: Tensors, h: Tensor) -> Tensor:
        return affine(h, tree["head.weight"], tree["head.bias"])


@dataclass(frozen=True)
class Cnn(Sequential):
    """Blocks of 3x3 convolution, ReLU and 2x2 pooling. `input_shape` is (H, W) or (C, H, W).

    The head's weight is [channels, height * width, classes], so that channels can be sliced.
    """

    @property
    def image(self) -> tuple[int, ...]:
        """Channels, height, width."""
        return (1, *self.input_shape) if len(self.input_shape) == 2 else self.input_shape

    def init(self, seed: int) -> Tree:
        rng = np.random.default_rng(np.random.SeedSequence(seed))
        channels, height, width = self.image
        tree: Tree = {}
        for k, out in enumerate(self.hidden):
            tree[f"body.{k}.weight"] = uniform(rng, channels * 9, (out, channels, 3, 3))
            tree[f"body.{k}.bias"] = uniform(rng, channels * 9, (out,))
            if self.normalised:
                tree |= norm_init(f"norm.{k}", out)
            channels, height, width = out, height // 2, width // 2
        area = height * width
        tree["head.weight"] = uniform(rng, channels * area, (channels, area, self.classes))
        tree["head.bias"] = uniform(rng, channels * area, (self.classes,))
        return tree

    def axes(self, key: str) -> tuple[str | None, ...]:
        below, own = _groups(self, key)
        if not key.endswith(".weight"):
            return (own,)
        return (below, None, own) if key.startswith("head.") else (own, below, None, None)

    def _enter(self, x: Tensor, leading: int) -> Tensor:
        return x.reshape(*x.shape[:leading], *self.image)

    def _linear(self, tree: Tensors, k: int, h: Tensor) -> Tensor:
        return convolve(h, tree[f"body.{k}.weight"], tree[f"body.{k}.bias"])

    def _activate(self, h: Tensor) -> Tensor:
        return pool(torch.relu(h))

    def _head(self, tree: Tensors, h: Tensor) -> Tensor:
        return affine(h.flatten(-3), tree["head.weight"].flatten(-3, -2), tree["head.bias"])


def _groups(model: Sequential, key: str) -> tuple[str | None, str]:
    """The groups below and of a key's block: hidden ones, None for inputs, and classes."""
    k = model.block(key)
    return (f"hidden.{k - 1}" if k else None), (f"hidden.{k}" if k < model.blocks else CLASSES)
