"""Becomes a plain user and runs a command. Only root can; nothing on disk changes.

The user must be able to read the interpreter, the environment and the repository: where a folder on the way is closed
to others, a mount namespace of this process's own shows another folder there, with what is needed bound into it.
"""

import ctypes
import os
import stat
import sys
from pathlib import Path

NOBODY = 65534
_NEWNS, _BIND, _RECURSIVE, _PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    _check(_libc.mount(source.encode(), str(target).encode(), kind.encode(), flags, options.encode()))


def _closed(path: Path) -> Path | None:
    """The first folder on the way that others may not pass."""
    for folder in reversed(path.parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


def _open_up(needed: list[Path]) -> None:
    _check(_libc.unshare(_NEWNS))
    _mount("none", Path("/"), "", _RECURSIVE | _PRIVATE)
    for closed in {folder for path in needed if (folder := _closed(path))}:
        shown = {path: os.open(path, os.O_PATH) for path in needed if path.is_relative_to(closed)}
        _mount("tmpfs", closed, "tmpfs", 0, "mode=0755")
        for path, handle in shown.items():
            path.mkdir(parents=True, exist_ok=True)
            _mount(f"/proc/self/fd/{handle}", path, "", _BIND | _RECURSIVE)
            os.close(handle)


def main() -> None:
    needed = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), Path(__file__).resolve().parents[2]}
    _open_up(sorted(needed))
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
