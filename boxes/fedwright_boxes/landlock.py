"""Landlock: a cell writes only below its own folders and reaches nothing outside itself. Does nothing to reading.

Works without privileges and cannot be undone. On a kernel with an older version the newer rights are left out; the
namespaces and the seccomp filter stand behind it.
"""

import os
import struct

from fedwright_boxes import syscalls

_WRITE_FILE = 1 << 1
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_BIND_AND_CONNECT_TCP = 3
_ABSTRACT_SOCKETS_AND_SIGNALS = 3


def _writing(abi: int) -> int:
    newer = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEVICE))
    return _WRITE_FILE | _REMOVE_AND_MAKE | sum(right for since, right in newer if abi >= since)


def _attributes(abi: int, network: bool) -> bytes:
    tcp = _BIND_AND_CONNECT_TCP if abi >= 4 and not network else 0
    scope = _ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0
    return struct.pack("<QQQ", _writing(abi), tcp, scope)[: 24 if abi >= 6 else 16 if abi >= 4 else 8]


def restrict(folders: tuple[str, ...], files: tuple[str, ...], network: bool) -> None:
    """Only `folders` and `files` stay writable. Needs `no_new_privs`. A kernel without Landlock is left as it is."""
    abi = syscalls.landlock_abi()
    if not abi:
        return
    ruleset = syscalls.landlock_create(_attributes(abi, network))
    for path in (*folders, *files):
        handle = os.open(path, os.O_PATH)
        syscalls.landlock_allow(ruleset, _writing(abi) if path in folders else _WRITE_FILE, handle)
        os.close(handle)
    syscalls.landlock_restrict(ruleset)
    os.close(ruleset)
