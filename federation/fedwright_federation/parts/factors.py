"""Weights as Hadamard products of low-rank ones (FedPara, Hyeon-Woo, Ye-Bin and Oh 2022): fewer coordinates travel.

W = (X1 Y1^T) * (X2 Y2^T), elementwise, with X [m, r] and Y [n, r]: rank up to r^2 for 2r(m + n) coordinates (proposition 1
and corollary 1). A convolution [O, I, k, k] has cores T [r, r, k, k]: (T x1 X x2 Y), 2r(O + I + r k^2) (proposition 3).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from fedwright_federation.algorithm import Array, Model, Out, Role, Tensors, Tree, View
from fedwright_federation.parts.surgery import Surgery

LETTERS = ("x1", "y1", "x2", "y2", "t1", "t2")


@dataclass(frozen=True)
class Factorised(View):
    """The weights of hidden blocks become factors; heads, biases and norm layers stay as they are.

    r = (1 - gamma) r_min + gamma r_max, where r_min lets W have full rank, ceil(sqrt(min(m, n))) of a matrix, and r_max
    still saves coordinates (section 2). Blocks that r_min would not make smaller, or with fewer than `smallest` coordinates, stay
    dense. With `personal` W = W1 * (W2 + 1) and W2 never leaves the client (pFedPara, section 2).
    """

    gamma: float = 0.1
    smallest: int = 0
    personal: bool = False

    needs = frozenset({"body"})

    @property
    def features(self) -> frozenset[str]:
        return frozenset({"factorised", "private-keys"} if self.personal else {"factorised"})

    def model(self, base: Model) -> Model:
        return WithFactors(base, self.gamma, self.smallest, self.personal)

    def shared(self, key: str, role: Role) -> bool:
        return not (self.personal and role == "factor" and key.endswith("2"))


def rank(m: int, n: int, area: int, gamma: float) -> int:
    """0 where factors would not save coordinates. `area` is k^2 of a convolution, 1 for a matrix.

    The least r gives both of a convolution's unfoldings, [m, n area] and [n, m area], their full rank.
    """
    dense = m * n * area

    def cost(r: int) -> int:
        return 2 * r * (m + n + (r * area if area > 1 else 0))

    least = math.ceil(math.sqrt(max(min(m, n * area), min(n, m * area))))
    greatest = max((r for r in range(1, min(m, n) + 1) if cost(r) < dense), default=0)
    return 0 if greatest < least else math.floor((1 - gamma) * least + gamma * greatest + 0.5)


@dataclass(frozen=True)
class WithFactors(Surgery):
    """Keys `<key>.x1|y1|x2|y2`, and `.t1|t2` for convolutions, instead of `<key>`."""

    gamma: float
    smallest: int
    personal: bool

    def init(self, seed: int) -> Tree:
        rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
        ranks = factored(self)
        tree: Tree = {}
        for key, value in self.base.init(seed).items():
            tree |= self._factors(key, value, ranks[key], rng) if key in ranks else {key: value}
        return tree

    def _factors(self, key: str, value: Array, r: int, rng: np.random.Generator) -> Tree:
        """Gaussian, so that W's entries vary as much as the base's own do; a personal W2 starts at zero."""
        cores = value.ndim == 4
        terms, factors = (r * r, 3) if cores else (r, 2)
        half = 1 if self.personal else 2
        deviation = (float(value.std()) ** (2 / half) / terms) ** (1 / (2 * factors))
        tree: Tree = {}
        shapes: dict[str, tuple[int, ...]] = {"x": (value.shape[0], r), "y": (value.shape[1], r)}
        if cores:
            shapes["t"] = (r, r, *value.shape[2:])
        for name in (letter + side for side in "12" for letter in shapes):
            drawn = rng.normal(0.0, deviation, shapes[name[0]]).astype(np.float32)
            tree[f"{key}.{name}"] = np.zeros_like(drawn) if self.personal and name == "y2" else drawn
        return tree

    def forward(self, tree: Tensors, x: Tensor, train: bool) -> Out:
        return self.base.forward(self.composed(tree), x, train)

    def forward_from(self, tree: Tensors, block: int, hidden: Tensor, train: bool) -> Out:
        return self.base.forward_from(self.composed(tree), block, hidden, train)

    def composed(self, tree: Tensors) -> Tensors:
        """The base's own tree. Shapes as in the factors, so rows may have been sliced."""
        dense = {key: value for key, value in tree.items() if self._of(key) is None}
        for key in factored(self):
            if f"{key}.x1" in tree:
                first, second = (_product(tree, key, side) for side in "12")
                dense[key] = first * (second + 1) if self.personal else first * second
        return dense

    def _of(self, key: str) -> str | None:
        """The key of the base that a factor belongs to."""
        base, _, letter = key.rpartition(".")
        return base if letter in LETTERS else None

    def role(self, key: str) -> Role:
        return "factor" if self._of(key) else self.base.role(key)

    def block(self, key: str) -> int:
        return self.base.block(self._of(key) or key)

    def axes(self, key: str) -> tuple[str | None, ...]:
        """Rows of X and Y run over W's first two axes; ranks are never sliced."""
        base = self._of(key)
        if base is None:
            return self.base.axes(key)
        letter = key.rpartition(".")[2][0]
        if letter == "t":
            return (None, None, None, None)
        return (self.base.axes(base)["xy".index(letter)], None)


@lru_cache(maxsize=64)
def factored(model: WithFactors) -> dict[str, int]:
    """The ranks of those keys that become factors."""
    shapes = {key: value.shape for key, value in model.base.init(0).items() if model.base.role(key) == "body"}
    sized = {key: shape for key, shape in shapes.items() if len(shape) in {2, 4} and math.prod(shape) >= model.smallest}
    ranks = {key: rank(shape[0], shape[1], math.prod(shape[2:]), model.gamma) for key, shape in sized.items()}
    return {key: r for key, r in ranks.items() if r}


def _product(tree: Tensors, key: str, side: str) -> Tensor:
    """X Y^T, or the core multiplied by X and Y along its first two axes; with or without the cohort axis."""
    x, y = tree[f"{key}.x{side}"], tree[f"{key}.y{side}"]
    if f"{key}.t{side}" not in tree:
        return x @ y.transpose(-1, -2)
    return torch.einsum("...or,...ip,...rpkl->...oikl", x, y, tree[f"{key}.t{side}"])
