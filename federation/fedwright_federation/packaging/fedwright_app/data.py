"""A node's own data, loaded on the node: an .npz file or the owner's function, as the node's config says.

Nothing here is sent anywhere. A fifth of the rows is held out to measure on, unless the file says which rows are for that.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from fedwright_crds.documents import PackageInput
from fedwright_federation.packaging.files import read_arrays
from fedwright_federation.simulation.run import Shard
from fedwright_federation.simulation.seeds import stream

from .settings import heads_of

HELD_OUT = 5
"""One row in that many."""


class NodeDataError(ValueError):
    """This node's data do not fit the model."""


@dataclass(frozen=True)
class NodeData:
    """What a node trains on, and what it measures on."""

    train: Shard
    held_out: Shard


def load(config: Mapping[str, object], settings: PackageInput) -> NodeData:
    """By `data-entry-point`, module:function without arguments, or `data-path`; both give x [n, ...] and y [n].

    They may also give `x_test` and `y_test`. Labels are those of the node's own head. Raises NodeDataError, FileNotFoundError,
    or what the function raises.
    """
    source = str(config.get("data-entry-point") or config["data-path"])
    arrays = _called(source) if "data-entry-point" in config else _read(source)
    if "x" not in arrays or "y" not in arrays:
        raise NodeDataError(f"{source} gives {sorted(arrays)}; it must give x and y")
    classes = heads_of(settings).count(int(str(config["partition-id"])))
    everything = _shard(arrays["x"], arrays["y"], settings, classes, source)
    if "x_test" in arrays and "y_test" in arrays:
        return NodeData(everything, _shard(arrays["x_test"], arrays["y_test"], settings, classes, source))
    order = stream(settings.seed, "held-out", 0, int(str(config["partition-id"]))).permutation(len(everything.y))
    kept, held = np.sort(order[len(order) // HELD_OUT :]), np.sort(order[: len(order) // HELD_OUT])
    return NodeData(*(Shard(everything.x[rows], everything.y[rows]) for rows in (kept, held)))


def _read(path: str) -> Mapping[str, NDArray[np.generic]]:
    try:
        return read_arrays(Path(path))
    except (ValueError, EOFError, TypeError, BadZipFile):
        raise NodeDataError(
            f"{path} is no whole .npz of plain numbers; write it with numpy.savez(path, x=x, y=y)"
        ) from None


def _called(entry_point: str) -> Mapping[str, NDArray[np.generic]]:
    module, _, function = entry_point.partition(":")
    given = getattr(importlib.import_module(module), function)()
    return given if isinstance(given, Mapping) else dict(zip(("x", "y"), given, strict=False))


def _shard(x: object, y: object, settings: PackageInput, classes: int, source: str) -> Shard:
    rows, labels = np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.int64)
    if rows.shape != (len(labels), *settings.input_shape):
        wanted = ("n", *settings.input_shape)
        raise NodeDataError(f"{source}: x has shape {rows.shape} for {len(labels)} labels; the model takes {wanted}")
    if not np.isfinite(rows).all():
        raise NodeDataError(f"{source}: x holds values that are not finite; clean it")
    if len(labels) and not (labels.min() >= 0 and labels.max() < classes):
        raise NodeDataError(f"{source}: labels must lie in 0..{classes - 1}")
    return Shard(rows, labels)
