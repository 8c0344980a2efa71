"""How results leave a cell: one stream of named files with an end mark. The cell writes it, the keeper reads it.

`send` runs beside code that may be hostile and may be bypassed by it: it is a courtesy that names what is wrong.
`receive` is the wall: it believes nothing, and takes only flat names, declared places and whole files.
"""

import os
import re
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_HEAD = struct.Struct("<HQ")
_MAX_PATH = 256
MAX_FILES = 4096
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class IrregularFileError(Exception):
    """A link, a device, a folder, a FIFO or an odd name where a plain file should be."""


class StreamError(Exception):
    """What left the cell is not a whole stream of declared files."""


@dataclass(frozen=True)
class Allowed:
    """Greatest size in bytes of each handover (all its files together) and of each output."""

    handovers: Mapping[str, int]
    outputs: Mapping[str, int]

    def room(self) -> dict[str, int]:
        """By place: `to/<handover>` or `out/<name>`."""
        return {f"to/{name}": size for name, size in self.handovers.items()} | {
            f"out/{name}": size for name, size in self.outputs.items()
        }

    @property
    def most_bytes(self) -> int:
        """More than this is a flood."""
        frames = (MAX_FILES + len(self.outputs) + 1) * (_HEAD.size + _MAX_PATH)
        return sum(self.handovers.values()) + sum(self.outputs.values()) + frames


@dataclass(frozen=True)
class Delivery:
    handovers: Mapping[str, Mapping[str, bytes]]
    outputs: Mapping[str, bytes]


def send(root: Path, allowed: Allowed, descriptor: int) -> None:
    """Write the files of a box; raises `IrregularFileError`, and then the stream has no end mark."""
    count = 0
    room = allowed.room()
    for budget, path, file in _files(root, allowed):
        size = os.fstat(file).st_size
        room[budget] -= size
        if room[budget] < 0:
            raise IrregularFileError(f"{budget} is larger than its greatest size")
        _write_all(descriptor, _HEAD.pack(len(path), size) + path)
        position = 0
        while position < size and (sent := os.sendfile(descriptor, file, position, size - position)):
            position += sent
        os.close(file)
        count += 1
    _write_all(descriptor, _HEAD.pack(0, count))


def _files(root: Path, allowed: Allowed) -> Iterator[tuple[str, bytes, int]]:
    """Place, path and descriptor of each file."""
    for handover in allowed.handovers:
        folder = os.open(root / "to" / handover, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 (by descriptor: the path may change)
            yield f"to/{handover}", f"to/{handover}/{name}".encode(), open_plain(name, folder)
        os.close(folder)
    folder = os.open(root / "out", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 (by descriptor: the path may change)
        if name not in allowed.outputs:
            raise IrregularFileError(f"out/{name!r} is none of the step's outputs: {', '.join(allowed.outputs)}")
        yield f"out/{name}", f"out/{name}".encode(), open_plain(name, folder)
    os.close(folder)


def open_plain(name: str, folder: int) -> int:
    """A descriptor of a file in an open folder; raises `IrregularFileError` for whatever else is there."""
    if not _FILE_NAME.fullmatch(name):
        raise IrregularFileError(f"{name!r}: a file name is 1 to 100 letters, digits, '_', '.', '-'")
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        raise IrregularFileError(f"{name!r} is a link or cannot be read: {error.strerror}") from error
    facts = os.fstat(file)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
        raise IrregularFileError(f"{name!r} is not a plain file with one name")
    return file


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def receive(data: bytearray, allowed: Allowed) -> Delivery:
    """The files of a stream; raises `StreamError`, whose text holds nothing that the cell chose."""
    handovers: dict[str, dict[str, bytes]] = {name: {} for name in allowed.handovers}
    outputs: dict[str, bytes] = {}
    room = allowed.room()
    for place, name, content in _frames(data):
        budget = f"to/{place}" if place else f"out/{name}"
        into = handovers.get(place, outputs)
        if budget not in room:
            raise StreamError("a file where the step may write none")
        if name in into:
            raise StreamError("one name twice")
        room[budget] -= len(content)
        if room[budget] < 0:
            raise StreamError(f"{budget} is larger than its greatest size")
        into[name] = bytes(content)
    return Delivery(handovers, outputs)


def _frames(data: bytearray) -> Iterator[tuple[str, str, memoryview]]:
    """Handover ('' for an output), file name and content of each frame."""
    position, count = 0, 0
    with memoryview(data) as view:
        while True:
            if position + _HEAD.size > len(view):
                raise StreamError("the stream has no end: a file was irregular or the program ended before it was done")
            length, size = _HEAD.unpack_from(view, position)
            position += _HEAD.size
            if length == 0:
                if size != count or position != len(view):
                    raise StreamError("the stream does not end at its end mark")
                return
            count += 1
            if length > _MAX_PATH or length + size > len(view) - position or count > MAX_FILES:
                raise StreamError("a frame is larger than the stream")
            place, name = _place(bytes(view[position : position + length]))
            with view[position + length : position + length + size] as content:
                yield place, name, content
            position += length + size


def _place(path: bytes) -> tuple[str, str]:
    match path.decode("ascii", "replace").split("/"):
        case ["to", handover, name] if handover and _FILE_NAME.fullmatch(name):
            return handover, name
        case ["out", name] if _FILE_NAME.fullmatch(name):
            return "", name
    raise StreamError("a name that no file may have")
