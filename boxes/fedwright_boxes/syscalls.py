"""The kernel calls that the standard library lacks. Knows numbers and structures of Linux on x86_64, and no policy."""

import ctypes
import os
import signal
import struct

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
NOSUID, NODEV = 0x2, 0x4

_PDEATHSIG, _DUMPABLE, _SECCOMP, _BOUNDING_DROP, _SUBREAPER, _NO_NEW_PRIVILEGES = 1, 4, 22, 24, 36, 38
_CLOSE_RANGE, _LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 436, 444, 445, 446
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63
_MADV_COLLAPSE = 25

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int | bytes | None) -> int:
    values = [ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value) for value in arguments]
    result: int = getattr(_libc, name)(*values)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def _prctl(option: int, value: int = 0, third: int | bytes = 0) -> None:
    _call("prctl", option, value, third, 0, 0)


def unshare(namespaces: int) -> None:
    _call("unshare", namespaces)


def enter_namespace(handle: int, kind: int) -> None:
    _call("setns", handle, kind)


def mount_tmpfs(target: str, options: str) -> None:
    _call("mount", b"tmpfs", target.encode(), b"tmpfs", NOSUID | NODEV, options.encode())


def collapse_pages(start: int, length: int) -> None:
    """Into huge pages, as far as there are some; a kernel before 6.1 does not know how, and nothing depends on it."""
    _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _MADV_COLLAPSE)


def close_from(first: int) -> None:
    """Close every descriptor from `first` on, also those beyond the limit on open files."""
    _call("syscall", _CLOSE_RANGE, first, 0xFFFFFFFF, 0)


def die_with_parent() -> None:
    _prctl(_PDEATHSIG, int(signal.SIGKILL))


def adopt_orphans() -> None:
    """Whatever descends from this process and loses its parent becomes its child."""
    _prctl(_SUBREAPER, 1)


def set_dumpable(dumpable: bool) -> None:
    """While a process is not dumpable nobody of its own user reads its memory, and its files in /proc belong to root."""
    _prctl(_DUMPABLE, int(dumpable))


def forbid_new_privileges() -> None:
    _prctl(_NO_NEW_PRIVILEGES, 1)


def drop_bounding_set() -> None:
    """Must come while CAP_SETPCAP is held; stops at the first capability that this kernel does not know."""
    for capability in range(_LAST_CAPABILITY + 1):
        if _libc.prctl(_BOUNDING_DROP, capability, 0, 0, 0):
            return


def drop_capabilities() -> None:
    _call("capset", struct.pack("II", _CAPABILITY_VERSION_3, 0), bytes(24))


def set_seccomp_filter(program: bytes) -> None:
    """`program` is an array of `struct sock_filter`."""
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    _prctl(_SECCOMP, 2, header)


def landlock_abi() -> int:
    """The kernel's Landlock version, 0 where there is none."""
    return max(0, int(_libc.syscall(_LANDLOCK_CREATE, None, 0, 1)))


def landlock_create(attributes: bytes) -> int:
    return _call("syscall", _LANDLOCK_CREATE, attributes, len(attributes), 0)


def landlock_allow(ruleset: int, access: int, folder: int) -> None:
    _call("syscall", _LANDLOCK_ADD, ruleset, 1, struct.pack("<Qi", access, folder), 0)


def landlock_restrict(ruleset: int) -> None:
    _call("syscall", _LANDLOCK_RESTRICT, ruleset, 0)
