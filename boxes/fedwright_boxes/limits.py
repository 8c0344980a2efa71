"""What one cell may use, and the part of it that the kernel enforces per process. Knows no cgroup: see `groups`."""

import resource
from dataclasses import dataclass, replace

from fedwright_crds.work import MIB

SCRATCH_BYTES = 64 * MIB
SHARED_MEMORY_BYTES = 64 * MIB
INODES = 8192
UNGROUPED_PROCESSES = 32
_RLIMIT_SIGPENDING = 11


@dataclass(frozen=True)
class Limits:
    """Of one cell. Sizes are in bytes, times in seconds."""

    wall_seconds: float
    memory_bytes: int
    folder_bytes: int
    """Size of the tmpfs at the root of the box: what is handed in, what is handed on, and scratch."""
    processes: int
    beside: int = 0
    """How many others of the same user the kernel counts with them."""
    files: int = 0
    """How many are handed in, beside those that it may make."""
    open_files: int = 256
    grouped: bool = True
    """Whether a control group bounds the memory of the tree; if not, each process is bounded by itself as well."""

    def without_group(self) -> "Limits":
        """Memory of sockets shows in no sum over processes: fewer of both where no control group counts it."""
        return replace(
            self, processes=min(self.processes, UNGROUPED_PROCESSES), open_files=min(self.open_files, 64), grouped=False
        )


def apply(limits: Limits, data_bytes: int, own_user: bool) -> None:
    """Bound this process and all that it starts. `data_bytes` is the private memory that the process has already.

    The number of processes is counted by user: it is bounded only where the cell has a user of its own.
    """
    bounds = {
        resource.RLIMIT_CORE: 1,  # not 0: a program of the host that takes dumps by a pipe would be started even so
        resource.RLIMIT_FSIZE: limits.folder_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CPU: int(limits.wall_seconds * 4) + 5,
        resource.RLIMIT_MEMLOCK: 0,
        _RLIMIT_SIGPENDING: 256,
    }
    if not limits.grouped:
        bounds[resource.RLIMIT_DATA] = data_bytes + 2 * limits.memory_bytes
    if own_user:
        bounds[resource.RLIMIT_NPROC] = limits.processes + limits.beside
    for which, wanted in bounds.items():
        hard = resource.getrlimit(which)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(which, (value, value))
