"""A candidate's files as the package `candidate`, straight from memory: `strategy.build(hyperparameters)` -> Strategy.

The code runs in this process, so this is called in a bench box (or on code of our own). It must not know of tasks or data.
"""

import linecache
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module, invalidate_caches
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

from fedwright_crds.documents import CandidateCode
from fedwright_federation.algorithm import Strategy
from fedwright_federation.candidates.failures import PACKAGE, PREFIX, CandidateError, blame, failure


class _Source(InspectLoader):
    """One module's text."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text

    def get_source(self, fullname: str) -> str:  # noqa: ARG002  (importlib's signature)
        return self.text

    def is_package(self, fullname: str) -> bool:
        return fullname == PACKAGE

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.text, PREFIX + self.file, "exec", dont_inherit=True), module.__dict__)


class _Finder(MetaPathFinder):
    """Finds `candidate` and its modules among the files of one candidate."""

    def __init__(self, code: CandidateCode) -> None:
        self.files = code.files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target  # all modules lie side by side
        if fullname == PACKAGE:
            return spec_from_loader(fullname, _Source("", ""), is_package=True)
        package, _, name = fullname.rpartition(".")
        text = self.files.get(f"{name}.py") if package == PACKAGE else None
        return None if text is None else spec_from_loader(fullname, _Source(f"{name}.py", text))


def import_candidate(code: CandidateCode, module: str = "strategy") -> ModuleType:
    """A module of the candidate, freshly imported; the package of an earlier candidate is forgotten.

    Raises CandidateError: Syntax where a file does not parse, Import where importing it raises.
    """
    _install(code)
    return import_more(module)


def import_more(module: str) -> ModuleType:
    """Another module of the candidate that is imported already."""
    with blame("Import"):
        return import_module(f"{PACKAGE}.{module}")


def load_strategy(code: CandidateCode, hyperparameters: Mapping[str, float]) -> Strategy:
    """What the candidate's `build` makes of these hyperparameters.

    Raises CandidateError: Syntax, Import, Layout (no build), or Build (it raised, or made something else).
    """
    return build(import_candidate(code), hyperparameters)


def build(module: ModuleType, hyperparameters: Mapping[str, float]) -> Strategy:
    """Calls the imported module's `build`."""
    make = getattr(module, "build", None)
    if not callable(make):
        raise CandidateError(
            failure("Layout", "build(hyperparameters) is missing; define it at the top level", "strategy.py")
        )
    with blame("Build"):
        strategy = make(dict(hyperparameters))
    if not isinstance(strategy, Strategy):
        text = f"build returned {type(strategy).__name__}; return a Strategy"
        raise CandidateError(failure("Build", text, "strategy.py"))
    return strategy


def forget_candidate() -> None:
    """From now on `candidate` is nobody's, and may be found on the path."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    for name in [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]:
        del sys.modules[name]


def _install(code: CandidateCode) -> None:
    forget_candidate()
    sys.meta_path.insert(0, _Finder(code))
    for file, text in code.files.items():
        linecache.cache[PREFIX + file] = (len(text), None, text.splitlines(keepends=True), PREFIX + file)
    invalidate_caches()
