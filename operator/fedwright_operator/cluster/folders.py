"""A folder of a file system: a volume that is mounted here, or whatever else fsspec has a name for.

What is written gets its name when it is whole. It knows names and bytes, and nothing of what they mean.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

from fsspec import AbstractFileSystem

PIECE_BYTES = 1024 * 1024


class Folder:
    """Safe to use from many threads, and by many at once. The folder itself must be there: it may be a mount."""

    def __init__(self, files: AbstractFileSystem, root: str) -> None:
        self._files, self._root = files, root.rstrip("/")

    def names(self) -> Iterator[str]:
        for path in self._files.find(self._root):
            yield str(path)[len(self._root) :].lstrip("/")

    def pieces(self, name: str) -> Iterator[bytes]:
        """Raises FileNotFoundError if it is not there."""
        with self._files.open(self._path(name), "rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def put_new(self, name: str, data: bytes) -> None:
        """Unless something has that name already, which then stays."""
        self.probe()
        path = self._path(name)
        if self._files.exists(path):
            return
        folder, _, last = path.rpartition("/")
        self._files.makedirs(folder, exist_ok=True)
        unfinished = f"{folder}/.{last}.{uuid4().hex}"
        try:
            with self._files.open(unfinished, "wb") as file:
                file.write(data)
                _settle(file)
            self._files.mv(unfinished, path)  # beside its place, so that a disk renames and copies nothing
        except BaseException:
            with suppress(Exception):
                self._files.rm_file(unfinished)
            raise

    def remove(self, name: str) -> None:
        """It may be gone already."""
        with suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def probe(self) -> None:
        """Raises FileNotFoundError where the folder is not there."""
        if not self._files.isdir(self._root):
            raise FileNotFoundError(2, "No such folder", self._root)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _settle(file: Any) -> None:
    """Onto the disk, where there is one below."""
    file.flush()
    try:
        number = file.fileno()
    except (OSError, AttributeError):
        return
    os.fsync(number)
