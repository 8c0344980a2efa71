"""What is installed here, by name: the folders of distributions and packages, and the libraries of the interpreter."""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from pathlib import Path

NOT_OF_THE_LIBRARY = ("site-packages", "dist-packages", "test")
"""Folders that may lie within the standard library's own."""
_REQUIRED_NAME = re.compile(r"[A-Za-z0-9._-]+")

_MODULES = (
    "_ssl",
    "_hashlib",
    "_ctypes",
    "_lzma",
    "_bz2",
    "_sqlite3",
    "_uuid",
    "zlib",
    "pyexpat",
    "readline",
    "_curses",
)
_C_RUNTIME = ("stdc++.so.6", "gcc_s.so.1", "m.so.6", "dl.so.2", "pthread.so.0", "rt.so.1", "util.so.1", "resolv.so.2")
_LIBRARY_PROBE = f"""
import ctypes, importlib
for name in {_MODULES}:
    try: importlib.import_module(name)
    except ImportError: pass
for name in {_C_RUNTIME}:
    try: ctypes.CDLL("lib" + name)
    except OSError: pass
@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.c_void_p)
def show(info, size, data):
    name = ctypes.string_at(info[1]).decode()
    if name.startswith("/") and "/lib-dynload/" not in name: print(name)
    return 0
ctypes.CDLL(None).dl_iterate_phdr(show, None)
"""


@cache
def libraries() -> tuple[Path, ...]:
    """Shared libraries outside the interpreter's own folder that it, its modules and compiled packages need."""
    command = [interpreter(), "-I", "-S", "-c", _LIBRARY_PROBE]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, stdin=subprocess.DEVNULL)
    return tuple(sorted({Path(line) for line in found.stdout.splitlines() if Path(line).is_file()}))


def interpreter() -> str:
    """The interpreter below any virtual environment."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def standard_library() -> Path:
    return Path(sysconfig.get_path("stdlib")).resolve()


def site_packages() -> Path:
    return Path(sysconfig.get_path("purelib")).resolve()


def package_folder(name: str) -> Path | None:
    """Of a package that is installed, found without importing it."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(next(iter(found.submodule_search_locations))).resolve()


def distribution_files(names: Iterable[str]) -> tuple[Path, ...]:
    """The top-level folders and modules of distributions and of all that they require here."""
    found: set[Path] = set()
    for distribution in _closure(names):
        record = (distribution.read_text("RECORD") or "").splitlines()
        for top in {line.split(",")[0].split("/")[0] for line in record}:
            if top not in ("", "..", "__pycache__") and not top.endswith((".dist-info", ".pth")):
                found.add(Path(str(distribution.locate_file(top))).resolve())
    return tuple(sorted(path for path in found if path.exists()))


def _closure(names: Iterable[str]) -> list[importlib.metadata.Distribution]:
    """Requirements that only an extra asks for are left out; so are those that are not installed."""
    waiting, found = list(names), {}
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        for line in found[name].requires or ():
            required = _REQUIRED_NAME.match(line)
            if required and "extra ==" not in line:
                waiting.append(required[0])
    return list(found.values())
