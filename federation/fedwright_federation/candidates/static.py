"""Reads a candidate's source without running it: an allow-list of imports, names and attributes.

It tells authors early what the box would stop anyway; the box is the wall, this is the sign before it. It must not import
or execute candidate code, and needs no torch.
"""

import ast
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import ClassVar

from fedwright_crds.documents import CandidateCode, CheckFailure
from fedwright_federation.candidates.failures import PACKAGE, failure

MODULES = frozenset(
    "__future__ math dataclasses typing collections collections.abc functools itertools "
    "numpy numpy.fft numpy.linalg numpy.random numpy.typing torch torch.autograd torch.distributions torch.fft torch.func "
    "torch.linalg torch.nn torch.nn.functional torch.special".split()
)
PLATFORM = tuple(f"fedwright_federation.{room}" for room in ("algorithm", "parts", "strategies", "models"))
"""Rooms of the platform that a candidate composes from, with all that is below them."""
BUILTINS = frozenset(
    "eval exec compile open input breakpoint help exit quit globals locals vars dir memoryview".split()
)
"""Built-in functions that a strategy has no use for."""
BY_NAME = frozenset({"getattr", "setattr", "delattr", "hasattr"})
"""Allowed where the attribute's name is written out, so that it can be read here."""
DUNDER_ATTRIBUTES = frozenset({"__init__", "__post_init__", "__call__", "__name__", "__len__", "__setattr__"})
DUNDER_METHODS = frozenset(
    "__init__ __post_init__ __call__ __len__ __iter__ __next__ __contains__ __getitem__ __eq__ __hash__ __repr__ __str__ "
    "__add__ __sub__ __mul__ __truediv__ __neg__ __lt__ __le__".split()
)
DUNDER_NAMES = frozenset({"__name__", "__all__"})
ATTRIBUTES = frozenset(
    "os sys io builtins importlib subprocess ctypes ctypeslib socket inspect shutil pathlib pickle marshal threading "
    "multiprocessing signal warnings gc weakref tempfile mro f_back f_globals f_locals f_builtins f_code tb_frame gi_frame "
    "gi_code cr_frame cr_code ag_frame ag_code co_code tofile dump dumps".split()
)
"""Never used: modules that a library happens to hold, an interpreter's frames, and ways to write files."""
LIBRARY = frozenset(
    "numpy.load numpy.loadtxt numpy.genfromtxt numpy.fromfile numpy.fromregex numpy.save numpy.savez numpy.savetxt "
    "numpy.savez_compressed numpy.memmap numpy.open_memmap numpy.lib numpy.core numpy.testing numpy.f2py numpy.show_config "
    "numpy.seterrcall numpy.rec numpy.ma numpy.polynomial numpy.matlib numpy.distutils torch.load torch.save "
    "torch.from_file torch.hub torch.utils torch.ops torch.classes torch.jit torch.compile torch.distributed torch.package "
    "torch.serialization torch.library torch.cuda torch.backends torch.storage torch.UntypedStorage torch.testing "
    "torch.export torch.onnx torch.profiler torch.set_num_threads torch.set_num_interop_threads torch.seed "
    "torch.manual_seed torch.initial_seed torch.set_rng_state torch.set_default_dtype torch.set_default_device "
    "numpy.random.seed typing.get_type_hints typing.ForwardRef functools.singledispatch functools.singledispatchmethod".split()
)
"""Files, native code, threads, seeds and evaluated text: the platform's to handle."""
TESTS = "test_strategy.py"
MAX_FILE = 64 * 1024
MAX_TOTAL = 192 * 1024
MAX_NODES = 40_000
_DUNDER = re.compile(r"__\w+__")


def check(code: CandidateCode) -> tuple[CheckFailure, ...]:
    """Every rule that the source breaks, in the order of files and lines; empty if none."""
    failures = [*_layout(code)]
    for file in sorted(code.files):
        failures += check_file(file, code.files[file], modules=frozenset(name[:-3] for name in code.files))
    return tuple(failures)


def lacking_tests(code: CandidateCode) -> tuple[CheckFailure, ...]:
    """Whether a candidate has the file of its own tests."""
    if TESTS in code.files:
        return ()
    return (failure("Layout", f"{TESTS} is missing; write plain functions named test_* in it", TESTS),)


def check_file(file: str, source: str, modules: frozenset[str]) -> list[CheckFailure]:
    """The rules of one file; `modules` are the candidate's own, by name."""
    if len(source) > MAX_FILE:
        return [failure("Size", f"{len(source)} characters; write at most {MAX_FILE} in a file", file)]
    try:
        tree = ast.parse(source, file)
    except SyntaxError as error:
        return [failure("Syntax", f"{error.msg}: {(error.text or '').strip()}", file, error.lineno)]
    except (ValueError, RecursionError, MemoryError) as error:
        return [failure("Syntax", f"cannot be parsed ({type(error).__name__}); write it plainer", file)]
    try:
        return _Rules(file, modules).run(tree)
    except RecursionError:
        return [failure("Size", "nested too deeply; split the expression", file)]


def _layout(code: CandidateCode) -> Iterator[CheckFailure]:
    if (total := sum(len(source) for source in code.files.values())) > MAX_TOTAL:
        yield failure("Size", f"{total} characters in all files; write at most {MAX_TOTAL}")
    for reserved in sorted({"__init__.py", "__main__.py"} & code.files.keys()):
        yield failure("Layout", f"{reserved} is the platform's; move its content to strategy.py", reserved)
    source = code.files.get("strategy.py")
    if source is None:
        yield failure("Layout", "strategy.py is missing; add it with build(hyperparameters)")
    elif not _defines_build(source):
        yield failure("Layout", "build(hyperparameters) is missing; define it at the top level", "strategy.py")


def _defines_build(source: str) -> bool:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True  # what is wrong with it is told by check_file
    return any(isinstance(node, ast.FunctionDef) and node.name == "build" for node in body)


def _loaded(dotted: str) -> object:
    """What a name stands for, as far as its modules are imported here; nothing is imported for it."""
    first, *names = dotted.split(".")
    found: object = sys.modules.get(first)
    for name in names:
        found = vars(found).get(name) if isinstance(found, ModuleType) else None
    return found


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


class _Rules(ast.NodeVisitor):
    """Walks one module and notes what it may not do."""

    KIND: ClassVar[dict[type[ast.AST], str]] = {
        ast.AsyncFunctionDef: "async functions",
        ast.Await: "await",
        ast.AsyncFor: "async for",
        ast.AsyncWith: "async with",
        ast.Global: "global variables; what a client remembers belongs to its ClientState",
    }

    def __init__(self, file: str, modules: frozenset[str]) -> None:
        self.file = file
        self.modules = modules
        self.aliases: dict[str, str] = {}
        self.docstrings: set[int] = set()
        self.failures: list[CheckFailure] = []

    def run(self, tree: ast.Module) -> list[CheckFailure]:
        nodes = list(ast.walk(tree))
        if len(nodes) > MAX_NODES:
            return [failure("Size", f"{len(nodes)} syntax nodes; write at most {MAX_NODES}", self.file)]
        self._collect(nodes)
        self.visit(tree)
        return sorted(self.failures, key=lambda found: found.line or 0)

    def _collect(self, nodes: list[ast.AST]) -> None:
        """Aliases of modules and docstrings, wherever they stand, before any rule is applied."""
        for node in nodes:
            if isinstance(node, ast.Import):
                for name in node.names:
                    self.aliases[name.asname or name.name.split(".")[0]] = (
                        name.name if name.asname else name.name.split(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom):
                for name in node.names:
                    if (dotted := f"{node.module}.{name.name}") in MODULES or isinstance(_loaded(dotted), ModuleType):
                        self.aliases[name.asname or name.name] = dotted
            elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body:
                first = node.body[0]
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    self.docstrings.add(id(first.value))

    def note(self, check: str, node: ast.AST, message: str) -> None:
        self.failures.append(failure(check, message, self.file, getattr(node, "lineno", None)))

    def generic_visit(self, node: ast.AST) -> None:
        if what := self.KIND.get(type(node)):
            self.note("ForbiddenSyntax", node, f"no {what}")
        super().generic_visit(node)

    # -- imports ----------------------------------------------------------------------------------
    def visit_Import(self, node: ast.Import) -> None:
        for name in node.names:
            if not self._allowed(name.name):
                self._refuse_import(node, name.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if any(name.name == "*" for name in node.names):
            self.note("ForbiddenImport", node, f"import the names that you use from {module or '.'}, not *")
        elif node.level:
            self._relative(node, module)
        elif not self._allowed(module):
            self._refuse_import(node, module)
        else:
            for name in node.names:
                self._member(node, f"{module}.{name.name}")

    def _relative(self, node: ast.ImportFrom, module: str) -> None:
        wanted = [module] if module else [name.name for name in node.names]
        for name in wanted if node.level == 1 else [f"{'.' * node.level}{module}"]:
            if name not in self.modules:
                self.note("Import", node, f"no file {name}.py in the candidate; it has {self._own()}")

    def _allowed(self, module: str) -> bool:
        own = module == PACKAGE or module.removeprefix(f"{PACKAGE}.") in self.modules
        return own or module in MODULES or any(f"{module}.".startswith(f"{room}.") for room in PLATFORM)

    def _refuse_import(self, node: ast.AST, module: str) -> None:
        allowed = ", ".join(sorted(MODULES | set(PLATFORM)))
        self.note("ForbiddenImport", node, f"{module} may not be imported; use {allowed}, or your own modules")

    def _own(self) -> str:
        return ", ".join(f"{name}.py" for name in sorted(self.modules))

    # -- names and attributes ---------------------------------------------------------------------
    def visit_Name(self, node: ast.Name) -> None:
        if node.id in BUILTINS or (_is_dunder(node.id) and node.id not in DUNDER_NAMES):
            self.note("ForbiddenName", node, f"{node.id} is not available to a strategy")
        elif node.id in BY_NAME:
            self.note("ForbiddenName", node, f"call {node.id} directly, with the attribute's name written out")
        elif node.id in self.aliases:
            self.note("ForbiddenName", node, f"use {node.id}.<name> directly; a module is not passed around")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._attribute(node, node.attr)
        dotted = self._dotted(node)
        if dotted is not None:
            self._member(node, dotted)
            return
        self.visit(node.value)

    def _attribute(self, node: ast.AST, name: str) -> None:
        if name in ATTRIBUTES or (name.startswith("__") and name not in DUNDER_ATTRIBUTES):
            self.note("ForbiddenAttribute", node, f".{name} is not available to a strategy")

    def _dotted(self, node: ast.Attribute) -> str | None:
        """The full name of a chain such as np.random.Generator that begins at an imported module."""
        parts = [node.attr]
        value = node.value
        while isinstance(value, ast.Attribute):
            self._attribute(value, value.attr)
            parts.append(value.attr)
            value = value.value
        if isinstance(value, ast.Name) and value.id in self.aliases:
            return ".".join([self.aliases[value.id], *reversed(parts)])
        return None

    def _member(self, node: ast.AST, dotted: str) -> None:
        if dotted.startswith("fedwright_federation.") and not self._allowed(dotted):
            self._refuse_import(node, dotted)
            return
        prefixes = {dotted} | {dotted[: at.start()] for at in re.finditer(r"\.", dotted)}
        names = dotted.split(".")[1:]
        if prefixes & LIBRARY:
            self.note("ForbiddenAttribute", node, f"{dotted}: files, native code, threads and seeds are the platform's")
        elif any(name.startswith("_") for name in names):
            self.note("ForbiddenAttribute", node, f"{dotted} is private to its module")
        elif foreign := self._foreign(dotted):
            self.note("ForbiddenImport", node, f"{foreign} is a module off the list that is reached through another")
        elif any(name in ATTRIBUTES for name in names) and isinstance(node, ast.ImportFrom):
            self.note("ForbiddenImport", node, f"{dotted} is not available to a strategy")

    def _foreign(self, dotted: str) -> str | None:
        """What a chain of names passes through that is a module, and not one of the list by its own name."""
        _, *names = dotted.split(".")
        for count in range(len(names)):
            path = dotted.rsplit(".", count)[0]
            found = _loaded(path)
            if isinstance(found, ModuleType) and not (found.__name__ == path and self._allowed(path)):
                return path
        return None

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in BY_NAME:
            self._by_name(node, node.func.id)
            for child in [*node.args, *node.keywords]:
                self.visit(child)
            return
        self.generic_visit(node)

    def _by_name(self, node: ast.Call, function: str) -> None:
        name = node.args[1] if len(node.args) > 1 else None
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            self._attribute(node, name.value)
        else:
            self.note("ForbiddenName", node, f"{function} needs the attribute's name written out")

    # -- definitions, patterns, text --------------------------------------------------------------
    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if _is_dunder(node.name) and node.name not in DUNDER_METHODS:
            self.note("ForbiddenName", node, f"a strategy does not define {node.name}")
        self.generic_visit(node)

    def visit_MatchClass(self, node: ast.MatchClass) -> None:
        for name in node.kwd_attrs:
            self._attribute(node, name)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and id(node) not in self.docstrings and _DUNDER.search(node.value):
            self.note("ForbiddenName", node, "no text with __name__ in it; it can reach what the rules keep away")
