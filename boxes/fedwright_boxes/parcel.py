"""What a cell is given, as one sealed memory file: the program, the folders to make, and the files to put into them.

The keeper packs, the cell unpacks after it has locked itself in; whoever passes the descriptor on reads nothing of it,
so that no later cell inherits a copy. Read by position alone: a shared file offset would be a channel between cells.
"""

import fcntl
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from fedwright_boxes.stream import Allowed

Content = bytes | memoryview
_LENGTH = struct.Struct("<I")
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_CHUNK = 16 * 1024 * 1024


@dataclass(frozen=True)
class Program:
    """What a cell runs, and what of its box it may hand on."""

    module: str
    arguments: tuple[str, ...]
    allowed: Allowed


def pack(program: Program, files: Mapping[str, Content]) -> int:
    """A descriptor that the caller closes. `files` maps paths relative to the box, as `in/name`, to bytes."""
    header = {"program": asdict(program), "files": [[path, len(content)] for path, content in files.items()]}
    head = json.dumps(header).encode()
    descriptor = os.memfd_create("parcel", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    try:
        for content in (_LENGTH.pack(len(head)), head, *files.values()):
            _write_all(descriptor, memoryview(content))
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _write_all(descriptor: int, content: memoryview) -> None:
    while content:
        content = content[os.write(descriptor, content[:_CHUNK]) :]


def unpack(descriptor: int, root: Path) -> Program:
    """Fill the box at `root`; the descriptor is closed."""
    (length,) = _LENGTH.unpack(os.pread(descriptor, _LENGTH.size, 0))
    header = json.loads(os.pread(descriptor, length, _LENGTH.size))
    said = header["program"]
    program = Program(said["module"], tuple(said["arguments"]), Allowed(**said["allowed"]))
    for folder in ("in", "from", "to", "out", "scratch", *(f"to/{name}" for name in program.allowed.handovers)):
        (root / folder).mkdir()
    position = _LENGTH.size + length
    for path, size in header["files"]:
        target = root / path
        target.parent.mkdir(exist_ok=True)
        _copy(descriptor, position, size, target)
        position += size
    os.close(descriptor)
    return program


def _copy(descriptor: int, position: int, size: int, target: Path) -> None:
    file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    end = position + size
    while position < end:
        position += os.sendfile(file, descriptor, position, end - position)
    os.close(file)
