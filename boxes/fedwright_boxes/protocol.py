"""What a keeper and a zygote say to each other. Imported by both, so that a keeper loads nothing that runs in a box."""

import struct
from dataclasses import dataclass
from enum import StrEnum

from fedwright_boxes.limits import Limits

MESSAGE_BYTES = 64 * 1024
READY = b"ok"
"""A cell's note, once its walls are up and before anything hostile runs."""
START = b"g"
"""The keeper's go: it holds a handle on the cell."""
END = struct.Struct("<idq")
"""Wait status, CPU seconds, greatest resident size in KiB of the cell's processes."""


class Enclosure(StrEnum):
    """What stands around the cells of a zygote."""

    NAMESPACES = "Namespaces"
    """Bubblewrap around the zygote, and namespaces of its own around each cell."""
    CONTAINER = "Container"
    """A pod's container, made by others, around all of them: each cell locks itself in with Landlock and seccomp."""
    NONE = "None"


@dataclass(frozen=True)
class Sight:
    """What a cell in a container reads and executes beside its own box. Folders stand for all that is below them."""

    abi: int
    """The kernel's Landlock version; 0 where there is none."""
    read: tuple[str, ...]
    run: tuple[str, ...]
    """May be executed."""
    listed: tuple[str, ...] = ()
    """Folders whose names may be listed, and whose files are none the more readable for it."""


@dataclass(frozen=True)
class Item:
    """One request. It stays in memory that later cells inherit, so it says nothing of the work."""

    limits: Limits
    root: str
    user: int
    has_channel: bool
    groups: int
    """How many of the descriptors, the last ones before the status, are doors to control groups."""
