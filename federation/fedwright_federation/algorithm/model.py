"""What a method may ask of a model: pure functions over a flat tree of tensors, with roles for its keys.

Every array may carry one leading cohort axis, [K, ...] instead of [...]: K independent clients at once.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from torch import Tensor

from fedwright_federation.algorithm.tree import Tree

Tensors: TypeAlias = dict[str, Tensor]
Role: TypeAlias = Literal["body", "head", "bn_affine", "bn_stat", "exit", "projection", "factor", "teacher"]
"""What a key is for. `bn_stat` marks running statistics: no gradient reaches them, and no codec or server optimizer may."""


CLASSES = "classes"
"""The group of the axes that run over a model's outputs."""


class Out(NamedTuple):
    """The result of a forward pass. B is the batch, C the classes; each shape may begin with the cohort axis K."""

    logits: Tensor
    """[B, C]."""
    features: tuple[Tensor, ...] = ()
    """What each block gave, in order, [B, d_k]; the last is what the head saw."""
    stats: Mapping[str, Tensor] = {}
    """New running statistics by key; empty outside training."""
    exits: tuple[Tensor, ...] = ()
    """Logits of the early exits, [B, C] each, where the model has them."""


class Model(Protocol):
    """A model without weights. `capabilities` names what it can do beyond `forward`, for `Part.needs`."""

    @property
    def capabilities(self) -> frozenset[str]: ...

    @property
    def classes(self) -> int: ...

    def init(self, seed: int) -> Tree:
        """Fresh weights; equal seeds give equal bytes."""
        ...

    def forward(self, tree: Tensors, x: Tensor, train: bool) -> Out:
        """x is [B, *input_shape] or [B, prod(input_shape)]. Widths and depth come from the tree, so sub-models need no code."""
        ...

    def forward_from(self, tree: Tensors, block: int, hidden: Tensor, train: bool) -> Out:
        """Enter before block `block` with what block `block - 1` gave; `forward` is `forward_from` at 0."""
        ...

    @property
    def blocks(self) -> int:
        """How many blocks come before the head."""
        ...

    def role(self, key: str) -> Role: ...

    def block(self, key: str) -> int:
        """The block that a key belongs to; `blocks` for the head."""
        ...

    def axes(self, key: str) -> tuple[str | None, ...]:
        """For each axis of a key's array the hidden group that it runs over, `CLASSES`, or None for inputs and kernels.

        Axes of one group are sliced together, so that a narrower model stays consistent.
        """
        ...


def outputs(model: Model, tree: Mapping[str, Any]) -> int:
    """How many classes a client's part of the model tells apart. Arrays of `tree` have no cohort axis."""
    found = ((model.axes(key), value.shape) for key, value in tree.items())
    return next((int(shape[axes.index(CLASSES)]) for axes, shape in found if CLASSES in axes), model.classes)
