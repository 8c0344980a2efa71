"""Files that survive a kill: written whole or not at all, under locks that die with their holder."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Replace the file; a reader sees the old or the new content, never a part."""
    temporary = _temporary(path, data)
    temporary.replace(path)


def write_once(path: Path, data: bytes) -> bool:
    """Create the file unless it is there already; whether it was created. Of many writers one wins."""
    temporary = _temporary(path, data)
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def append_line(path: Path, line: str) -> None:
    """Add one line. A kill can leave half a line: the next starts afresh and readers skip the half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        torn = file.tell() and not _ends_a_line(path)
        file.write(("\n" if torn else "").encode() + line.encode() + b"\n")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file for a short while; waits for other holders, threads and processes alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _temporary(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    with temporary.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
