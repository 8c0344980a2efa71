"""Files that are replaced in one step: readers see the old content or the new, and after a crash so does the disk."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:  # whoever packages needs no torch
    from fedwright_federation.algorithm.tree import Arrays


def write_whole(path: Path, content: bytes, *, private: bool = False) -> None:
    """`private`: readable by its owner alone, from the first moment."""
    _replace(path, lambda file: file.write(content), 0o600 if private else 0o644)


def write_arrays(path: Path, arrays: "Arrays") -> None:
    """An .npz without pickles; equal arrays give equal bytes."""
    _replace(path, lambda file: np.savez(file, allow_pickle=False, **arrays), 0o644)


def read_arrays(path: Path) -> "Arrays":
    with (
        path.open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):  # numpy leaves open a file that it cannot read
        return dict(arrays)


def _replace(path: Path, write: Callable[[BinaryIO], object], mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)  # half a file would only fill up a disk that is full
        raise
