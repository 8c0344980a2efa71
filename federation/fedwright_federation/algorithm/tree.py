"""Models as flat trees of arrays, and the few operations on them that aggregation needs.

The wire and the server speak NumPy float32 alone; nothing here knows a tensor library, a model or a method.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]
Tree: TypeAlias = dict[str, Array]
"""A model, an update, a gradient: float32 arrays by key."""
Named: TypeAlias = dict[str, Tree]
"""Several trees by name: the state of a part, what a server publishes, what a client sends beside its update."""
Mask: TypeAlias = dict[str, NDArray[np.bool_]]
"""Which coordinates of the global model a client holds. Where a client holds all, `None` stands for it."""
Arrays: TypeAlias = dict[str, NDArray[np.generic]]
"""What a codec puts on the wire: arrays of any plain dtype."""


def zeros_like(tree: Mapping[str, Array]) -> Tree:
    return {key: np.zeros_like(value) for key, value in tree.items()}


def add(left: Mapping[str, Array], right: Mapping[str, Array]) -> Tree:
    """left + right on right's keys; left's other keys are kept as they are."""
    return {key: value + right[key] if key in right else value for key, value in left.items()}


def subtract(left: Mapping[str, Array], right: Mapping[str, Array]) -> Tree:
    """left - right on right's keys."""
    return {key: left[key] - value for key, value in right.items()}


def scale(tree: Mapping[str, Array], factor: float) -> Tree:
    return {key: np.float32(factor) * value for key, value in tree.items()}


def pick(tree: Mapping[str, Array], keys: Iterable[str]) -> Tree:
    return {key: tree[key] for key in keys if key in tree}


def norm(tree: Mapping[str, Array]) -> float:
    """Euclidean norm over all coordinates, summed in float64."""
    return float(np.sqrt(sum(float(np.vdot(v, v)) for v in (a.astype(np.float64) for a in tree.values()))))


def finite(tree: Mapping[str, Array]) -> bool:
    return all(bool(np.isfinite(value).all()) for value in tree.values())


def size(tree: Mapping[str, Array]) -> int:
    """Number of coordinates."""
    return sum(value.size for value in tree.values())


def map_tree(function: Callable[[Array], Array], tree: Mapping[str, Array]) -> Tree:
    return {key: function(value) for key, value in tree.items()}


def weighted_sum(trees: Sequence[Mapping[str, Array]], weights: Sequence[float] | NDArray[np.float64]) -> Tree:
    """sum_i weights_i * trees_i, accumulated in float64 so that the order of the trees hardly matters."""
    column = np.asarray(weights, dtype=np.float64)
    stacked = {key: np.stack([tree[key] for tree in trees]) for key in trees[0]}
    return {key: np.tensordot(column, v.astype(np.float64), axes=1).astype(np.float32) for key, v in stacked.items()}


def flatten(named: Mapping[str, Mapping[str, Array]]) -> Tree:
    """One tree with keys `name/key`. Names hold no slash."""
    return {f"{name}/{key}": value for name, tree in named.items() for key, value in tree.items()}


def unflatten(tree: Mapping[str, Array]) -> Named:
    """The inverse of `flatten`, less names whose tree was empty."""
    named: Named = {}
    for path, value in tree.items():
        name, _, key = path.partition("/")
        named.setdefault(name, {})[key] = value
    return named


@dataclass(frozen=True)
class Frame:
    """A sub-model: for each key that the client holds, the indices that it keeps along each axis of the global array.

    A width slice keeps the first indices of an axis; a depth slice leaves out whole keys. `down` cuts a global tree to the
    client's size, `lift` puts a local tree back in the global frame with the mask of what it covers.
    """

    windows: Mapping[str, tuple[NDArray[np.intp], ...]]

    def down(self, tree: Mapping[str, Array]) -> Tree:
        return {k: np.ascontiguousarray(v[np.ix_(*self.windows[k])]) for k, v in tree.items() if k in self.windows}

    def lift(self, tree: Mapping[str, Array], like: Mapping[str, Array]) -> tuple[Tree, Mask]:
        """`like` gives the global shapes. Coordinates that are not held are zero, and False in the mask."""
        lifted = zeros_like(like)
        mask = {key: np.zeros(value.shape, dtype=np.bool_) for key, value in like.items()}
        for key, value in tree.items():
            where = np.ix_(*self.windows[key])
            lifted[key][where] = value
            mask[key][where] = True
        return lifted, mask
