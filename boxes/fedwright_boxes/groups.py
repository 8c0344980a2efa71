"""A control group per cell: memory and number of processes of a whole tree, exactly. Version 1 and 2.

Groups are made below the caller's own, so that its limits hold on; where that is not allowed there is none, and the
keeper sums memory over the tree instead (see `memory`). Not known here: what a cell is.
"""

import contextlib
import os
import re
import secrets
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PREFIX = "fedwright-"
_OURS = re.compile(rf"{_PREFIX}(\d+)-[0-9a-f]+")


@dataclass(frozen=True)
class _Hierarchy:
    """Where groups are made: one folder for version 2, one for each controller of version 1."""

    version: int
    memory: Path
    processes: Path

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((self.memory, self.processes)))


def _mounts() -> dict[str, Path]:
    """Where the hierarchy of each controller (version 1) or `unified` (version 2) is mounted."""
    found = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2":
            found["unified"] = Path(left.split()[4])
        elif kind == "cgroup":
            found |= {name: Path(left.split()[4]) for name in options.split(",") if name in ("memory", "pids")}
    return found


def _own() -> dict[str, str]:
    """The caller's own group in each hierarchy."""
    found: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(",") if controllers else ["unified"], path)
    return found


@cache
def _hierarchy() -> _Hierarchy | None:
    """Where this process may make groups that bound memory; None where it may not."""
    try:
        mounts, own = _mounts(), _own()
        if "memory" in mounts and "pids" in mounts:
            places = [_below(mounts[name], own[name]) for name in ("memory", "pids")]
            return _Hierarchy(1, *places) if all(os.access(place, os.W_OK) for place in places) else None
        if "unified" in mounts:
            place = unified_place(_below(mounts["unified"], own["unified"]))
            return _Hierarchy(2, place, place) if place else None
    except (OSError, KeyError, ValueError):
        pass
    return None


def _below(mount: Path, group: str) -> Path:
    """In a container the path may be the host's, and the mount shows the own group as its root."""
    place = mount / group.lstrip("/")
    return place if place.is_dir() else mount


def unified_place(own: Path) -> Path | None:
    """A group with processes in it has no groups with limits below: then the new ones are made beside it."""
    for place in (own, own.parent):
        control = place / "cgroup.subtree_control"
        if control.exists() and {"memory", "pids"} <= set(control.read_text().split()):
            return place if all(os.access(path, os.W_OK) for path in (place, place / "cgroup.procs")) else None
    return None


class Group:
    """Make with `Group.make`, let the first process in through its `doors`, and `close` when the tree is dead."""

    def __init__(self, hierarchy: _Hierarchy, folders: dict[Path, Path]) -> None:
        self._version = hierarchy.version
        self._memory = folders[hierarchy.memory]
        self._folders = tuple(folders.values())

    @classmethod
    def make(cls, memory_bytes: int, processes: int) -> "Group | None":
        hierarchy = _hierarchy()
        if hierarchy is None:
            return None
        name = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(6)}"
        group = cls(hierarchy, {folder: folder / name for folder in hierarchy.folders})
        try:
            for folder in group._folders:
                folder.mkdir()
            (hierarchy.processes / name / "pids.max").write_text(str(processes))
            group._bound_memory(memory_bytes)
        except OSError:
            group.close()
            return None
        return group

    def _bound_memory(self, limit: int) -> None:
        if self._version == 1:
            (self._memory / "memory.limit_in_bytes").write_text(str(limit))
            return
        (self._memory / "memory.max").write_text(str(limit))
        (self._memory / "memory.oom.group").write_text("1")
        with contextlib.suppress(OSError):  # a kernel without swap accounting
            (self._memory / "memory.swap.max").write_text("0")

    def doors(self) -> list[int]:
        """Descriptors that the caller closes. Whoever writes `0` into each of them is inside, and so are its children."""
        name = "tasks" if self._version == 1 else "cgroup.procs"
        return [os.open(folder / name, os.O_WRONLY | os.O_CLOEXEC) for folder in self._folders]

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed for memory here."""
        return kills(_events(self._version, self._memory)) > 0

    def peak_bytes(self) -> int | None:
        try:
            return int(
                (self._memory / ("memory.max_usage_in_bytes" if self._version == 1 else "memory.peak")).read_text()
            )
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        for folder in self._folders:
            _remove(folder)


def _remove(folder: Path) -> None:
    """A group is busy for a moment after its last process has been waited for."""
    for _ in range(100):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.002)


class KillCount:
    """Kills for memory in the group that this process is in already, such as a container's: those since it was made."""

    def __init__(self) -> None:
        try:
            mounts, own = _mounts(), _own()
            version = 1 if "memory" in mounts else 2
            name = "memory" if version == 1 else "unified"
            self._events: Path | None = _events(version, _below(mounts[name], own[name]))
        except (OSError, KeyError, ValueError):
            self._events = None
        self._before = self._count()

    def _count(self) -> int:
        return kills(self._events) if self._events else 0

    def out_of_memory(self) -> bool:
        """False where it cannot be read."""
        return self._count() > self._before


def _events(version: int, group: Path) -> Path:
    return group / ("memory.oom_control" if version == 1 else "memory.events")


def kills(events: Path) -> int:
    """How many processes the kernel has killed for memory, as a group's file of either version says; 0 if it says nothing."""
    try:
        return sum(int(line.split()[1]) for line in events.read_text().splitlines() if line.startswith("oom_kill "))
    except OSError:
        return 0


def sweep() -> None:
    """Remove groups whose keeper was killed."""
    hierarchy = _hierarchy()
    for place in hierarchy.folders if hierarchy else ():
        for folder in place.iterdir():
            ours = _OURS.fullmatch(folder.name)
            if ours and not Path("/proc", ours[1]).exists():
                with contextlib.suppress(OSError):
                    folder.rmdir()
