"""A composition as a package of Python: one function a slot, `build` that puts them together, and tests.

The code spells the composition out in the platform's parts. It is generated from the catalogue's data alone and never
executed here.
"""

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from fedwright_crds.candidate import Range
from fedwright_crds.documents import CandidateCode
from fedwright_federation.catalogue import Catalogue, Composition, PartEntry
from fedwright_federation.catalogue.composition import PLURAL

ALGORITHM = "fedwright_federation.algorithm"
SERVER = frozenset({"selection", "download", "weighting", "combiner", "server", "finish", "evaluation"})
"""Slots of the server's module; the others are the client's."""
TYPES = {
    "selection": "Selection",
    "schedule": "Schedule",
    "view": "View",
    "download": "Codec",
    "upload": "Codec",
    "losses": "LossTerm",
    "gradients": "GradientTerm",
    "local": "LocalUpdate",
    "probes": "Probe",
    "states": "ClientState",
    "weighting": "Weighting",
    "combiner": "Combiner",
    "server": "ServerOptimizer",
    "finish": "Finish",
    "evaluation": "Evaluation",
}
BUILTINS = frozenset({"frozenset"})
"""Names in arguments that need no import."""
WIDTH = 100


@dataclass(frozen=True)
class SlotSource:
    """One slot as a function: its expression, the hyperparameters that it takes and the names that it imports."""

    name: str
    expression: str
    purpose: str
    hyperparameters: tuple[tuple[str, str], ...]
    """Names with `float` or `int`."""
    imports: tuple[tuple[str, str], ...]
    """Modules and names."""

    @property
    def type(self) -> str:
        return f"tuple[{TYPES[self.name]}, ...]" if self.name in PLURAL else TYPES[self.name]

    @property
    def parameters(self) -> str:
        return ", ".join(f"{name}: {kind}" for name, kind in self.hyperparameters)

    @property
    def arguments(self) -> str:
        return ", ".join(name for name, _ in self.hyperparameters)


def render(composition: Composition, ranges: Sequence[Range], name: str, title: str, text: str) -> CandidateCode:
    """The candidate's files. `ranges` are the hyperparameters that `build` takes, with their defaults."""
    slots = [_slot(composition, slot) for slot in TYPES if composition.of(slot)]
    kinds = {one.name: _kind(composition.catalogue, one.name) for one in ranges}
    hyperparameters = [
        {
            "name": one.name,
            "kind": kinds[one.name],
            "default": _literal(one.default, kinds[one.name]),
            "other": _other(one),
        }
        for one in ranges
    ]
    client = [slot for slot in slots if slot.name not in SERVER]
    server = [slot for slot in slots if slot.name in SERVER]
    files = {
        "strategy.py": _template("strategy").render(
            title=_prose(title),
            text=_prose(text),
            name=json.dumps(name),
            slots=slots,
            hyperparameters=hyperparameters,
            modules=[(module, _names(own)) for module, own in (("client", client), ("server", server)) if own],
        ),
        "test_strategy.py": _tests(composition, slots, hyperparameters),
    }
    if client:
        files["client.py"] = _module("What each client does with the model that it is sent.", client)
    if server:
        files["server.py"] = _module("What the server does with the cohort's updates.", server)
    return CandidateCode(files=files)


def _slot(composition: Composition, slot: str) -> SlotSource:
    catalogue = composition.catalogue
    entries = [catalogue.part(name) for name in composition.of(slot)]
    used = [name for entry in entries for name in entry.names]
    hyperparameters = tuple(dict.fromkeys(name for name in used if name in catalogue.hyperparameters))
    nested = [_entry_of(catalogue, name) for name in used if name not in hyperparameters and name not in BUILTINS]
    imports = {(ALGORITHM, TYPES[slot])} | {(part.module, part.class_name) for part in [*entries, *nested]}
    return SlotSource(
        name=slot,
        expression=_expression(entries, slot),
        purpose="\n\n    ".join(entry.purpose for entry in entries) + ("\n    " if len(entries) > 1 else ""),
        hyperparameters=tuple((name, _kind(catalogue, name)) for name in hyperparameters),
        imports=tuple(sorted(imports)),
    )


def _expression(entries: Sequence[PartEntry], slot: str) -> str:
    """A tuple of calls, or one call within the calls of those that wrap it, the last one outermost."""
    if slot in PLURAL:
        return f"({', '.join(_call(entry) for entry in entries)},)"
    expression = ""
    for entry in entries:
        held = {entry.wraps: expression} if entry.wraps and expression else {}
        expression = _call(entry, held)
    return expression


def _call(entry: PartEntry, held: Mapping[str, str] | None = None) -> str:
    arguments = {**(held or {}), **entry.arguments}
    return f"{entry.class_name}({', '.join(f'{name}={value}' for name, value in arguments.items())})"


def _entry_of(catalogue: Catalogue, class_name: str) -> PartEntry:
    return next(entry for entry in catalogue.parts.values() if entry.class_name == class_name)


def _kind(catalogue: Catalogue, hyperparameter: str) -> str:
    return "int" if catalogue.hyperparameters[hyperparameter].whole else "float"


def _literal(value: float, kind: str) -> str:
    return repr(int(value) if kind == "int" else float(value))


def _other(one: Range) -> str:
    """Another value of the range than the default."""
    return repr(next((value for value in one.grid if value != one.default), one.default / 2 or 0.5))


def _names(slots: Iterable[SlotSource]) -> str:
    return ", ".join(sorted(slot.name for slot in slots))


def _module(summary: str, slots: Sequence[SlotSource]) -> str:
    imports = _import_lines({pair for slot in slots for pair in slot.imports})
    return _template("module").render(summary=summary, imports=imports, slots=slots)


def _import_lines(pairs: Iterable[tuple[str, str]]) -> list[str]:
    by_module: dict[str, set[str]] = {}
    for module, name in pairs:
        by_module.setdefault(module, set()).add(name)
    return [f"from {module} import {', '.join(sorted(by_module[module]))}" for module in sorted(by_module)]


def _tests(composition: Composition, slots: Sequence[SlotSource], hyperparameters: Sequence[Mapping[str, str]]) -> str:
    checks, pairs = [], set()
    for slot in slots:
        for place, entry in _places(composition, slot.name):
            checks.append(f"isinstance({place}, {entry.class_name})")
            pairs.add((entry.module, entry.class_name))
    tested = {slot.name for slot in slots} & {"server", "upload", "weighting"}
    if tested:
        pairs |= {(ALGORITHM, "Round"), (ALGORITHM, "Training"), ("fedwright_federation.models", "Mlp")}
        pairs |= {(ALGORITHM, {"server": "Aggregate", "weighting": "Report"}[s]) for s in tested - {"upload"}}
    imports = (["import numpy as np", ""] if tested else []) + _import_lines(pairs)
    return _template("test_strategy").render(
        imports=imports, uses_round=bool(tested), checks=checks, hyperparameters=hyperparameters, slots=tested
    )


def _places(composition: Composition, slot: str) -> list[tuple[str, PartEntry]]:
    """Where each part of a slot stands in the strategy."""
    entries = [composition.catalogue.part(name) for name in composition.of(slot)]
    if slot in PLURAL:
        return [(f"strategy.{slot}[{number}]", entry) for number, entry in enumerate(entries)]
    places, where = [], f"strategy.{slot}"
    for entry in reversed(entries):
        places.append((where, entry))
        where = f"{where}.{entry.wraps}"
    return places


def _prose(text: str) -> str:
    """Text that may stand in a docstring: no quotes of three, no backslash, wrapped."""
    plain = text.replace("\\", "/").replace('"""', "'''").strip().removesuffix('"')
    printable = "".join(c for c in plain if c.isprintable() or c == "\n")
    return "\n".join(textwrap.fill(line, WIDTH) for line in printable.splitlines())


@cache
def _environment() -> Environment:
    loader = PackageLoader("fedwright_agents.catalogue_mind")
    return Environment(
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )


def _template(name: str) -> Template:
    return _environment().get_template(f"{name}.py.j2")
