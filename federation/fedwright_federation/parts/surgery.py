"""A model built around another one: what a view changes it overrides, the rest is the base's."""

from dataclasses import dataclass

from torch import Tensor

from fedwright_federation.algorithm import Model, Out, Role, Tensors, Tree


@dataclass(frozen=True)
class Surgery(Model):
    """The base, unchanged."""

    base: Model

    @property
    def capabilities(self) -> frozenset[str]:
        return self.base.capabilities

    @property
    def classes(self) -> int:
        return self.base.classes

    @property
    def blocks(self) -> int:
        return self.base.blocks

    def init(self, seed: int) -> Tree:
        return self.base.init(seed)

    def forward(self, tree: Tensors, x: Tensor, train: bool) -> Out:
        return self.base.forward(tree, x, train)

    def forward_from(self, tree: Tensors, block: int, hidden: Tensor, train: bool) -> Out:
        return self.base.forward_from(tree, block, hidden, train)

    def role(self, key: str) -> Role:
        return self.base.role(key)

    def block(self, key: str) -> int:
        return self.base.block(key)

    def axes(self, key: str) -> tuple[str | None, ...]:
        return self.base.axes(key)
