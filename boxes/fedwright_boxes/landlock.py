"""Landlock: a cell writes only below its own folders and reaches nothing outside itself. Reading is left as it is,
unless it is said what may be seen.

Works without privileges and cannot be undone. On a kernel with an older version the newer rights are left out; the
namespaces and the seccomp filter stand behind it.
"""

import os
import stat
import struct

from fedwright_boxes import syscalls
from fedwright_boxes.protocol import Sight

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 1, 1 << 1, 1 << 2, 1 << 3
_READ = _READ_FILE | _READ_FOLDER
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_BIND_AND_CONNECT_TCP = 3
_ABSTRACT_SOCKETS_AND_SIGNALS = 3


def _writing(abi: int) -> int:
    newer = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEVICE))
    return _WRITE_FILE | _REMOVE_AND_MAKE | sum(right for since, right in newer if abi >= since)


def _attributes(rights: int, abi: int, network: bool) -> bytes:
    tcp = _BIND_AND_CONNECT_TCP if abi >= 4 and not network else 0
    scope = _ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0
    return struct.pack("<QQQ", rights, tcp, scope)[: 24 if abi >= 6 else 16 if abi >= 4 else 8]


def restrict(folders: tuple[str, ...], files: tuple[str, ...], network: bool, sight: Sight | None = None) -> None:
    """Only `folders` and `files` stay writable, and beside them only what is in `sight` is read or executed.

    Needs `no_new_privs`. A kernel without Landlock is left as it is.
    """
    abi = syscalls.landlock_abi() if sight is None else sight.abi
    if not abi:
        return
    writing, reading = _writing(abi), _READ if sight else 0
    ruleset = syscalls.landlock_create(_attributes(writing | (reading | _EXECUTE if sight else 0), abi, network))
    for path in folders:
        _allow(ruleset, path, writing | reading)
    for path in files:
        _allow(ruleset, path, _WRITE_FILE | reading)
    if sight:
        for paths, rights in ((sight.read, _READ), (sight.run, _READ_FILE | _EXECUTE), (sight.listed, _READ_FOLDER)):
            for path in paths:
                _allow(ruleset, path, rights)
    syscalls.landlock_restrict(ruleset)
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    handle = os.open(path, os.O_PATH)
    if not stat.S_ISDIR(os.fstat(handle).st_mode):
        rights &= ~_READ_FOLDER
    syscalls.landlock_allow(ruleset, rights, handle)
    os.close(handle)
