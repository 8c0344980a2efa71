"""Huge pages under the zygote's memory. A fork copies one entry where it would copy 512, and an exit gives one back.

Pages that a cell writes to are split and copied one by one, as ever. Without huge pages all is the same, only slower.
"""

import os
import re
from collections.abc import Iterator

from fedwright_boxes import syscalls

HUGE = 2 * 1024 * 1024
_AREA = re.compile(r"(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) rw-p \S+ 00:00 0\s*(?P<name>\S*)")


def collapse(proc: int) -> None:
    """What the process has written so far, once all is imported. `proc` is a descriptor of /proc."""
    for start, end in list(_areas(proc)):
        syscalls.collapse_pages(start, end - start)


def _areas(proc: int) -> Iterator[tuple[int, int]]:
    """Addresses of private memory without a file, from one boundary of a huge page to another."""
    maps = os.open("self/maps", os.O_RDONLY, dir_fd=proc)
    with os.fdopen(maps) as lines:
        for found in filter(None, map(_AREA.match, lines)):
            start = -(-int(found["start"], 16) // HUGE) * HUGE
            end = int(found["end"], 16) // HUGE * HUGE
            if start < end and found["name"] in {"", "[heap]"}:
                yield start, end
