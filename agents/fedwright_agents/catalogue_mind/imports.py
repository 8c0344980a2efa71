"""Names that are missing, misspelt or forbidden, mended by what the platform's modules define, read from their source."""

import ast
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import fedwright_federation
from fedwright_crds.documents import CheckFailure
from fedwright_federation.catalogue import catalogue

ALGORITHM = "fedwright_federation.algorithm"
STANDARD = {
    "np": "import numpy as np",
    "numpy": "import numpy",
    "torch": "import torch",
    "math": "import math",
    "functools": "import functools",
    "itertools": "import itertools",
    "dataclass": "from dataclasses import dataclass",
    "replace": "from dataclasses import replace",
    "field": "from dataclasses import field",
    "Mapping": "from collections.abc import Mapping",
    "Sequence": "from collections.abc import Sequence",
    "Any": "from typing import Any",
    "Tensor": "from torch import Tensor",
}
ALIKE = 0.75
UNDEFINED = re.compile(r"NameError: name '(\w+)' is not defined")
NO_MEMBER = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")
NO_MODULE = re.compile(r"no file (\w+)\.py in the candidate|No module named '(?:candidate\.)?([\w.]+)'")
NO_ARGUMENT = re.compile(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")
SUGGESTED = re.compile(r"has no attribute '(\w+)'.*Did you mean: '(\w+)'")
ARGUMENTS = {"learning_rate": "lr", "step_size": "lr", "eta": "lr", "beta": "momentum", "proximal": "mu"}
"""What others call our parts' fields."""

Files = Mapping[str, str]


def import_name(files: Files, failure: CheckFailure) -> Files | None:
    """An undefined name that the platform or the standard library has, imported."""
    found = UNDEFINED.search(failure.message)
    line = _import_of(found[1]) if found else None
    if line is None or failure.file not in files:
        return None
    return {**files, failure.file: _with_import(files[failure.file], line)}


def rename_close(files: Files, failure: CheckFailure) -> Files | None:
    """An undefined name with one close match among those that the file defines, an attribute with Python's suggestion."""
    source = files.get(failure.file)
    if source is None:
        return None
    if suggested := SUGGESTED.search(failure.message):
        return {**files, failure.file: re.sub(rf"\.{suggested[1]}\b", f".{suggested[2]}", source)}
    found = UNDEFINED.search(failure.message)
    close = _one_close(found[1], _defined(source)) if found else None
    if found is None or close is None:
        return None
    return {**files, failure.file: re.sub(rf"\b{found[1]}\b", close, source)}


def fix_member(files: Files, failure: CheckFailure) -> Files | None:
    """A misspelt import or argument of a platform class, spelt as its module does."""
    source = files.get(failure.file)
    if source is None:
        return None
    if found := NO_MEMBER.search(failure.message):
        return _moved_or_renamed(files, failure.file, found[1], found[2])
    if found := NO_ARGUMENT.search(failure.message):
        fields = _fields(found[1])
        usual = ARGUMENTS.get(found[2], "")
        close = usual if usual in fields else _one_close(found[2], fields)
        return {**files, failure.file: re.sub(rf"\b{found[2]}=", f"{close}=", source)} if close else None
    return None


def drop_import(files: Files, failure: CheckFailure) -> Files | None:
    """A forbidden import whose names nothing uses, left out."""
    source = files.get(failure.file, "")
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    node = next(
        (n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom) and n.lineno == failure.line), None
    )
    if node is None:
        return None
    names = {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    if names & used or "*" in names:
        return None
    lines = source.split("\n")
    return {**files, failure.file: "\n".join([*lines[: node.lineno - 1], *lines[node.end_lineno or node.lineno :]])}


def _moved_or_renamed(files: Files, file: str, name: str, module: str) -> Files | None:
    """The name from the module that has it, else the one close name of the module that was asked."""
    source = files[file]
    right = _import_of(name)
    if right is not None:
        return {**files, file: _with_import(_without_name(source, module, name), right)}
    own = files.get(f"{module.rpartition('.')[2]}.py") if module.startswith("candidate.") else None
    close = _one_close(name, _defined(own) if own is not None else _exported(module))
    return {**files, file: re.sub(rf"\b{name}\b", close, source)} if close else None


def _without_name(source: str, module: str, name: str) -> str:
    """The source without this name in its import from the module."""
    pattern = re.compile(rf"^from {re.escape(module)} import (.+)$", re.MULTILINE)

    def rest(found: re.Match[str]) -> str:
        kept = [one.strip() for one in found[1].split(",") if one.strip() != name]
        return f"from {module} import {', '.join(kept)}" if kept else ""

    return pattern.sub(rest, source)


def _with_import(source: str, line: str) -> str:
    """The line before the first import, or after the module's docstring."""
    lines = source.split("\n")
    body = _body(source)
    first = next((node for node in body if isinstance(node, ast.Import | ast.ImportFrom)), None)
    if first is not None:
        at = first.lineno - 1 if getattr(first, "module", "") != "__future__" else first.lineno
    else:
        documented = body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
        at = (body[0].end_lineno or 0) if documented else 0
    return "\n".join([*lines[:at], line, *lines[at:]])


def _body(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except SyntaxError:
        return []


def _import_of(name: str) -> str | None:
    """The import that defines a name, if there is one."""
    if name in STANDARD:
        return STANDARD[name]
    if name in _exported(ALGORITHM):
        return f"from {ALGORITHM} import {name}"
    part = next((part for part in catalogue().parts.values() if part.class_name == name), None)
    return f"from {part.module} import {name}" if part else None


def _one_close(name: str, names: Iterable[str]) -> str | None:
    """The closest name, unless another is as close."""
    close = get_close_matches(name, sorted(set(names) - {name}), n=2, cutoff=ALIKE)
    return close[0] if len(close) == 1 or (len(close) > 1 and close[0].lower() == name.lower()) else None


def _defined(source: str) -> set[str]:
    """Names that a module defines or imports, and arguments of its functions."""
    names: set[str] = set()
    for node in ast.walk(ast.Module(_body(source), [])):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


@cache
def _exported(module: str) -> frozenset[str]:
    """Public names of a module of the platform."""
    source = _source(module)
    return frozenset(name for name in _defined(source) if not name.startswith("_")) if source else frozenset()


@cache
def _fields(class_name: str) -> frozenset[str]:
    """Fields of a platform class."""
    modules = {part.module for part in catalogue().parts.values()} | {f"{ALGORITHM}.neutral", f"{ALGORITHM}.strategy"}
    for module in sorted(modules):
        for node in _body(_source(module)):
            if isinstance(node, ast.ClassDef) and node.name == class_name:
                fields = (n.target for n in node.body if isinstance(n, ast.AnnAssign))
                return frozenset(target.id for target in fields if isinstance(target, ast.Name))
    return frozenset()


def _source(module: str) -> str:
    """A platform module's text, found without importing it."""
    root, _, rest = module.partition(".")
    if root != "fedwright_federation":
        return ""
    base = Path(fedwright_federation.__path__[0]).joinpath(*rest.split("."))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return ""
