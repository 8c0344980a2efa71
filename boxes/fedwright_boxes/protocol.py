"""What a keeper and a zygote say to each other. Imported by both, so that a keeper loads nothing that runs in a box."""

import struct
from dataclasses import dataclass

from fedwright_boxes.limits import Limits

MESSAGE_BYTES = 64 * 1024
READY = b"ok"
"""A cell's note, once its walls are up and before anything hostile runs."""
START = b"g"
"""The keeper's go: it holds a handle on the cell."""
END = struct.Struct("<idq")
"""Wait status, CPU seconds, greatest resident size in KiB of the cell's processes."""


@dataclass(frozen=True)
class Item:
    """One request. It stays in memory that later cells inherit, so it says nothing of the work."""

    limits: Limits
    root: str
    user: int
    has_channel: bool
    groups: int
    """How many of the descriptors, the last ones before the status, are doors to control groups."""
