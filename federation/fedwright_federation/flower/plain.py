"""Files that generated code wrote, read as plain files: never by way of a link, never more than so many bytes."""

import os
import stat
from pathlib import Path

from fedwright_crds.work import MIB

LARGEST = 256 * MIB


class NoPlainFileError(Exception):
    """What is there is something else, or too large."""


def read_plain(path: Path) -> bytes:
    """Neither the file nor its folder is a link. Raises FileNotFoundError or NoPlainFileError."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        folder = os.open(path.parent, flags | os.O_DIRECTORY)
        try:
            descriptor = os.open(path.name, flags, dir_fd=folder)
        finally:
            os.close(folder)
    except FileNotFoundError:
        raise
    except OSError as problem:
        raise NoPlainFileError(f"{path.name} cannot be read: {problem.strerror}") from problem
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            raise NoPlainFileError(f"{path.name} is no plain file of at most {LARGEST} bytes")
        return file.read(LARGEST)
