"""Reads what a bench left. Every byte is taken for an attack: nothing is parsed that can be compared instead.

The file must be a plain one, of one name and of exactly the size that the answer has; its header must be, byte for byte,
the one that the answer has; and the numbers must be probabilities.
"""

import os
import stat
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
TOLERANCE = 1e-3
"""How far a row's sum may be from 1."""


class RefusedError(ValueError):
    """This file is not what it should be."""


def read_bytes(path: Path, most: int) -> bytes:
    """The whole of a regular file with one name and at most `most` bytes. Raises RefusedError."""
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError as error:
        raise RefusedError(f"{path.name} is missing") from error
    except OSError as error:
        raise RefusedError(f"{path.name} cannot be opened: {os.strerror(error.errno or 0)}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise RefusedError(f"{path.name} is no regular file")
        if found.st_nlink != 1:
            raise RefusedError(f"{path.name} has a second name")
        if found.st_size > most:
            raise RefusedError(f"{path.name} has {found.st_size} bytes, more than {most}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most + 1)[: most + 1]
    except OSError as error:
        raise RefusedError(f"{path.name} cannot be read: {os.strerror(error.errno or 0)}") from error
    finally:
        os.close(descriptor)


def read_probabilities(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A float32 .npy in C order of exactly this shape, each row a distribution over the last axis. Raises RefusedError."""
    header = _header(shape)
    size = len(header) + 4 * int(np.prod(shape, dtype=np.int64))
    data = read_bytes(path, size)
    if len(data) != size or not data.startswith(header):
        raise RefusedError(f"{path.name} is no float32 array in C order of shape {shape}")
    answer = np.frombuffer(data, dtype="<f4", offset=len(header)).reshape(shape)
    if not np.isfinite(answer).all():
        raise RefusedError(f"{path.name} is not finite: the model diverged")
    if answer.min() < 0 or answer.max() > 1 + TOLERANCE or np.abs(answer.sum(-1) - 1).max() > TOLERANCE:
        raise RefusedError(f"{path.name} holds rows that are no probabilities")
    return answer


def _header(shape: tuple[int, ...]) -> bytes:
    """What np.save writes before the numbers."""
    spelled = BytesIO()
    form = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(spelled, form)
    return spelled.getvalue()
