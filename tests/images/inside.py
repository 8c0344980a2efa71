"""Run inside an image: what there is that should not be, as one line of JSON. Standard library alone.

Its one argument is JSON: `programs` to import (`package.*` is every module below), and `data`, SHA-256 of files of rows.
"""

import ast
import hashlib
import importlib.util
import json
import os
import pkgutil
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

INSTALLERS = ("pip", "pip3", "apt", "apt-get", "uv", "conda", "easy_install", "gem", "npm")
COMPILERS = ("cc", "gcc", "g++", "c++", "clang", "ld", "as", "make", "ninja", "rustc", "go", "perl")
ROWS = (
    ".csv",
    ".csv.gz",
    ".tsv",
    ".npz",
    ".npy",
    ".arff",
    ".arff.gz",
    ".parquet",
    ".arrow",
    ".mat",
    ".h5",
    ".rda",
    ".dat.gz",
)
HELM = "/usr/local/bin/helm"
NOT_OF_THE_IMAGE = ("/proc", "/sys", "/dev", "/box")


def main(asked: dict[str, list[str]]) -> None:
    files = list(_files())
    known = set(asked["data"])
    found = {
        "user": os.getuid(),
        "setuid": [path for path in files if stat.S_IMODE(os.lstat(path).st_mode) & (stat.S_ISUID | stat.S_ISGID)],
        "installers": _programs(INSTALLERS) + _modules("pip", "setuptools", "ensurepip", "wheel"),
        "compilers": _programs(COMPILERS),
        "headers": [path for path in files if path.endswith((".h", ".hpp", ".a", ".cmake")) and "/include/" in path],
        "rows": [path for path in files if path.endswith(ROWS)],
        "data": [path for path in files if known and _digest(path) in known],
        "uncompiled": [
            path for path in files if "/lib/python3.11/" in path and path.endswith(".py") and not _compiled(path)
        ],
        "bytes": sum(os.lstat(path).st_size for path in files if path != HELM),
        "open": [path for path in (*_folders(), *files) if _open(os.lstat(path).st_mode)],
        "torch": _modules("torch"),
        "failed": [failure for pattern in asked["programs"] for failure in _failures(pattern)],
    }
    print(json.dumps({name: value[:20] if isinstance(value, list) else value for name, value in found.items()}))


def _folders() -> Iterator[str]:
    for folder, below, _ in os.walk("/"):
        below[:] = [name for name in below if str(Path(folder, name)) not in NOT_OF_THE_IMAGE]
        yield folder


def _files() -> Iterator[str]:
    for folder in _folders():
        for entry in os.scandir(folder) if os.access(folder, os.R_OK) else ():
            if entry.is_file(follow_symlinks=False):
                yield entry.path


def _open(mode: int) -> bool:
    """To everybody; folders like /tmp, where nobody touches the files of others, aside."""
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def _programs(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if shutil.which(name)]


def _modules(*names: str) -> list[str]:
    return [name for name in names if importlib.util.find_spec(name)]


def _digest(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""


def _compiled(path: str) -> bool:
    """Or meant for another Python."""
    if Path(importlib.util.cache_from_source(path)).exists():
        return True
    try:
        ast.parse(Path(path).read_bytes())
    except SyntaxError:
        return True
    return False


def _failures(pattern: str) -> Iterator[str]:
    for name in _named(pattern):
        try:
            importlib.import_module(name)
        except Exception as error:
            yield f"{name}: {error!r}"


def _named(pattern: str) -> Iterator[str]:
    if not pattern.endswith(".*"):
        yield pattern
        return
    package = importlib.import_module(pattern[:-2])
    for one in pkgutil.walk_packages(package.__path__, pattern[:-1]):
        if not one.name.endswith(("__main__", ".templates")) and ".templates." not in one.name:
            yield one.name


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
