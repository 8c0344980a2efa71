"""`python trim.py PREFIX [GLOB ...] [--compiled PACKAGE]`: take out of a virtual environment what no program needs to run.

Tests of libraries go because they carry data; headers and static libraries because nothing is compiled in an image; the
globs, relative to site-packages, say what else. What stays is compiled and dated. Of a `--compiled` package only compiled modules stay:
that is for generated code and for libraries far below ours, whose lines nobody reads in a traceback.
"""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

from settle import compiled, dated

FOLDERS = frozenset({"tests", "test", "include"})
SUFFIXES = frozenset({".a", ".pyi", ".pxd", ".pyx", ".cmake"})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("prefix", type=Path)
    parser.add_argument("globs", nargs="*")
    parser.add_argument("--compiled", action="append", default=[])
    chosen = parser.parse_args()
    (packages,) = chosen.prefix.glob("lib/python*/site-packages")
    for path in (*_needless(packages), *(path for glob in chosen.globs for path in packages.glob(glob))):
        _remove(path)
    for path in (*(chosen.prefix / "bin").glob("[aA]ctivate*"), *chosen.prefix.glob("include")):
        _remove(path)
    compiled(packages, seen_at=packages, strict=False)
    for package in chosen.compiled:
        _drop_sources(packages / package)
    dated(chosen.prefix)


def _needless(packages: Path) -> Iterator[Path]:
    """Folders of that name inside a library, never a library of that name."""
    for path in sorted(packages.glob("*/**/*")):
        if path.suffix in SUFFIXES or (path.name in FOLDERS and path.is_dir()):
            yield path


def _drop_sources(package: Path) -> None:
    """Python takes `name.pyc` in the place of `name.py`."""
    for cached in sorted(package.rglob("__pycache__/*.pyc")):
        source = cached.parent.with_name(f"{cached.name.split('.')[0]}.py")
        if source.exists():
            source.unlink()
            cached.rename(source.with_suffix(".pyc"))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
