"""Checkpoints as files: `server.<round>.npz` the judged model, `client-<i>.<round>.npz` what client i lays over it.

Reading is safe on files that generated code wrote: no pickle, float32 alone, bounded sizes.
"""

import re
import zipfile
from pathlib import Path

import numpy as np

from fedwright_federation.algorithm.tree import Tree
from fedwright_federation.simulation.run import Checkpoint

_NAME = re.compile(r"^(server|client-(?P<client>\d{1,6}))\.(?P<round>\d{1,6})\.npz$")


class CheckpointError(ValueError):
    """This folder holds no checkpoints."""


def save_tree(folder: Path, owner: str, round_number: int, tree: Tree) -> None:
    with (folder / f"{owner}.{round_number}.npz").open("wb") as file:
        np.savez(file, **tree)  # type: ignore[arg-type]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_tree(folder, "server", checkpoint.round, checkpoint.model)
    for client, tree in checkpoint.personal.items():
        save_tree(folder, f"client-{client}", checkpoint.round, tree)


def load_checkpoints(folder: Path) -> list[Checkpoint]:
    """All that are complete, by round. Raises `CheckpointError` on anything that should not be there."""
    models: dict[int, Tree] = {}
    personal: dict[int, dict[int, Tree]] = {}
    for path in sorted(folder.iterdir()):
        name = _NAME.match(path.name)
        if name is None or path.is_symlink() or not path.is_file():
            raise CheckpointError(f"{path.name!r} is no checkpoint")
        number = int(name["round"])
        if name["client"] is None:
            models[number] = load_tree(path)
        else:
            personal.setdefault(number, {})[int(name["client"])] = load_tree(path)
    return [Checkpoint(number, model, personal.get(number, {})) for number, model in sorted(models.items())]


def load_tree(path: Path) -> Tree:
    """Raises `CheckpointError` on any file that `save_tree` did not write."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            tree = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {type(error).__name__}") from error
    if any(array.dtype != np.float32 for array in tree.values()):
        raise CheckpointError(f"{path.name} holds arrays that are not float32")
    return tree
