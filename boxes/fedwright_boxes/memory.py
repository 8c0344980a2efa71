"""Memory of a tree of processes as the kernel shares it out: a page that many forks share counts once. Reads /proc."""

import os
from collections.abc import Iterator
from pathlib import Path

_KIB = 1024
_IN_FULL = ("RssAnon:", "RssShmem:")


def children(process: int) -> list[int]:
    """As far as they can be read."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{process}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        pass
    return found


def tree(process: int) -> Iterator[int]:
    """The process and all that descends from it; children are looked for after their parent was given out."""
    waiting = [process]
    while waiting:
        current = waiting.pop()
        yield current
        waiting += children(current)


def tree_bytes(process: int, fields: tuple[str, ...] = ("Pss_Anon:", "Pss_Shmem:", "VmPTE:")) -> int:
    """Proportional set size. By default what is held for the tree alone: no mapped files, but the tables of its pages."""
    return sum(_process_bytes(current, fields) for current in tree(process))


def _process_bytes(process: int, fields: tuple[str, ...]) -> int:
    """A thread that has ended, be it the first, shows nothing of what the others hold: the first that shows it counts.

    What a process does not let others see of its memory counts in full, shared pages too.
    """
    try:
        threads = sorted(os.listdir(f"/proc/{process}/task"), key=int)  # noqa: PTH208 (names alone)
    except OSError:
        return 0

    def first(file: str, wanted: tuple[str, ...]) -> int:
        return next(
            filter(None, (_shown(Path(f"/proc/{process}/task/{thread}", file), wanted) for thread in threads)), 0
        )

    return (first("smaps_rollup", fields) or first("status", _IN_FULL)) + first("status", fields)


def _shown(file: Path, fields: tuple[str, ...]) -> int:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * _KIB for line in lines if line.startswith(fields))


def tree_pss_mib() -> float:
    """Of this process and all its boxes, with mapped files: what the machine has less while they run."""
    return tree_bytes(os.getpid(), ("Pss:",)) / (_KIB * _KIB)
