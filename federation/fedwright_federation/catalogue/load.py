"""The catalogue as one value, read once from the data files beside this module."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml
from pydantic import TypeAdapter

from fedwright_crds.candidate import Range
from fedwright_federation.catalogue.entries import Hyperparameter, Method, PartEntry, RuleEntry, as_range

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HYPERPARAMETERS = TypeAdapter(dict[str, Hyperparameter])
_PARTS = TypeAdapter(dict[str, PartEntry])
_RULES = TypeAdapter(tuple[RuleEntry, ...])


class UnknownEntryError(KeyError):
    """The catalogue has no such method or part."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(f"the catalogue has no {kind} {name!r}; it has {', '.join(known)}")

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Catalogue:
    """Methods by id, parts and hyperparameters by name, and the rules of composition."""

    methods: dict[str, Method]
    parts: dict[str, PartEntry]
    hyperparameters: dict[str, Hyperparameter]
    rules: tuple[RuleEntry, ...]

    def method(self, name: str) -> Method:
        """By id or by name, whatever the case. Raises UnknownEntryError."""
        wanted = name.lower()
        for method in self.methods.values():
            if wanted in {method.id, method.name.lower()}:
                return method
        raise UnknownEntryError("method", name, sorted(self.methods))

    def part(self, name: str) -> PartEntry:
        """Raises UnknownEntryError."""
        if name not in self.parts:
            raise UnknownEntryError("part", name, sorted(self.parts))
        return self.parts[name]

    def name_of(self, part: PartEntry) -> str:
        return next(name for name, entry in self.parts.items() if entry is part)

    def ranges(self, parts: tuple[str, ...]) -> tuple[Range, ...]:
        """The hyperparameters of these parts together, the first part's word on a default counting; `lr` comes first."""
        found: dict[str, Range] = {}
        for name in parts:
            part = self.part(name)
            for used in part.names:
                if used in self.hyperparameters:
                    found.setdefault(used, as_range(used, self.meaning(part, used)))
        return tuple(sorted(found.values(), key=lambda one: one.name != "lr"))

    def meaning(self, part: PartEntry, name: str) -> Hyperparameter:
        """A hyperparameter as this part wants it."""
        general, own = self.hyperparameters[name], part.hyperparameters.get(name)
        if own is None:
            return general
        changes = {"default": own.default, "grid": own.grid}
        return general.model_copy(update={key: value for key, value in changes.items() if value is not None})


@cache
def catalogue() -> Catalogue:
    """The catalogue that ships with the package."""
    here = files(__package__)
    methods = sorted((here / "methods").iterdir(), key=lambda file: file.name)
    entries = [_method(file) for file in methods if file.name.endswith(".yaml")]
    return Catalogue(
        methods={method.id: method for method in entries},
        parts=_PARTS.validate_json(_json(here / "parts.yaml")),
        hyperparameters=_HYPERPARAMETERS.validate_json(_json(here / "hyperparameters.yaml")),
        rules=_RULES.validate_json(_json(here / "rules.yaml")),
    )


def _method(file: Traversable) -> Method:
    return Method.model_validate_json(json.dumps({"id": file.name.removesuffix(".yaml"), **_read(file)}))


def _json(file: Traversable) -> str:
    return json.dumps(_read(file))


def _read(file: Traversable) -> Any:
    return yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)
