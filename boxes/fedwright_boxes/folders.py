"""Removes a folder that hostile code has filled: deeper than any path, closed to its owner, full of links."""

import contextlib
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(folder: Path) -> None:
    """With all that is in it; what cannot be removed is left. Follows no link and needs no deep path."""
    with contextlib.suppress(OSError):
        _empty(folder)
        folder.rmdir()


def _empty(folder: Path) -> None:
    """Folders within folders are lifted to the top, one level after another, so that none is ever deep."""
    top = _opened(folder)
    names = (f"lifted-{number}" for number in itertools.count())
    try:
        while inner := list(_folders_after_files(top)):
            for name in inner:
                with contextlib.suppress(OSError):
                    _dissolve(name, top, names)
                    os.rmdir(name, dir_fd=top)
            if set(inner) <= set(_folders_after_files(top)):
                return
    finally:
        os.close(top)


def _dissolve(name: str, top: int, names: Iterator[str]) -> None:
    folder = _opened(Path(name), top)
    try:
        for inner in _folders_after_files(folder):
            _lift(inner, folder, top, names)
    finally:
        os.close(folder)


def _lift(name: str, source: int, top: int, names: Iterator[str]) -> None:
    """A folder of the new name may be there already: the next one is tried then."""
    os.chmod(name, stat.S_IRWXU, dir_fd=source)
    for target in names:
        if not os.access(target, os.F_OK, dir_fd=top, follow_symlinks=False):
            os.rename(name, target, src_dir_fd=source, dst_dir_fd=top)
            return


def _opened(path: Path, within: int | None = None) -> int:
    with contextlib.suppress(OSError):
        os.chmod(path, stat.S_IRWXU, dir_fd=within)
    return os.open(path, _OPEN, dir_fd=within)


def _folders_after_files(folder: int) -> Iterator[str]:
    """The names of folders; everything else is removed on the way."""
    for name in os.listdir(folder):
        try:
            os.unlink(name, dir_fd=folder)
        except IsADirectoryError:
            yield name
        except OSError:
            continue
