"""A file that is replaced is whole, old or new, and nothing else is left."""

import errno
from pathlib import Path

import numpy as np
import pytest

from fedwright_federation.packaging.files import read_arrays, write_arrays, write_whole

KEPT = {"w": np.arange(3, dtype=np.float32)}


def test_a_write_that_fails_leaves_what_was_there_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "arrays.npz"
    write_arrays(path, KEPT)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fedwright_federation.packaging.files.os.fsync", full)
    for write in (lambda: write_arrays(path, {"w": np.zeros(9, np.float32)}), lambda: write_whole(path, b"half")):
        with pytest.raises(OSError, match="No space"):
            write()
    assert list(tmp_path.iterdir()) == [path]
    assert np.array_equal(read_arrays(path)["w"], KEPT["w"])
