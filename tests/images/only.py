"""`python only.py HIDDEN MODULE ...`: import the modules as if the hidden top-level names were not installed here.

`package.*` is every module below the package. Run alone: it imports nothing but the standard library.
"""

import importlib
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class Hiding:
    """The finder of modules on the path, blind to some top-level names."""

    find_distributions = staticmethod(PathFinder.find_distributions)

    def __init__(self, hidden: frozenset[str]) -> None:
        self.hidden = hidden

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return None if name.partition(".")[0] in self.hidden else PathFinder.find_spec(name, path, target)


def named(pattern: str) -> Iterator[str]:
    if not pattern.endswith(".*"):
        yield pattern
        return
    package = importlib.import_module(pattern[:-2])
    for one in pkgutil.walk_packages(package.__path__, pattern[:-1]):
        if not one.name.endswith(("__main__", ".templates")) and ".templates." not in one.name:
            yield one.name


def main(hidden: str, *patterns: str) -> int:
    blind = Hiding(frozenset(hidden.split(",")))
    sys.meta_path[:] = [blind if finder is PathFinder else finder for finder in sys.meta_path]
    failed = 0
    for pattern in patterns:
        for name in named(pattern):
            try:
                importlib.import_module(name)
            except ImportError as error:
                print(f"{name}: {error}", file=sys.stderr)
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
