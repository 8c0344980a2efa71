"""What the models' own validators check, said again in CEL for the API server, and what of a spec never changes.

A model holds its rules in its configuration, beside the validators that they repeat; `schema` carries them into the CRD.
"""

from collections.abc import Collection
from typing import Any

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from fedwright_crds.base import Strict

Rule = dict[str, str]

RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
    ]
)
"""Words of CEL; a field called so is written with two underscores on each side."""


def cel(rule: str, message: str, field: str | None = None) -> Rule:
    """A rule on an object, true where it holds; `field` is the path below the object that the message is about."""
    return {"rule": rule, "message": message, **({"fieldPath": f".{field}"} if field else {})}


def cluster_rules(*rules: Rule) -> ConfigDict:
    """The configuration of a model with these rules."""
    extra: dict[str, Any] = {"x-kubernetes-validations": [*rules]}
    return ConfigDict(json_schema_extra=extra)


def unchanging(spec: type[Strict], but: Collection[str]) -> list[Rule]:
    """For a kind's root: no field of its spec ever changes, save these."""
    return [
        cel(same(name, field), f"spec.{name} cannot change; make another one", f"spec.{name}")
        for name, field in by_alias(spec).items()
        if name not in but
    ]


def by_alias(model: type[Strict]) -> dict[str, FieldInfo]:
    """A model's fields as they are written."""
    return {to_camel(name): field for name, field in model.model_fields.items()}


def same(name: str, field: FieldInfo) -> str:
    """In CEL, at a kind's root: this field of the spec is as it was, or absent as it was."""
    escaped = f"__{name}__" if name in RESERVED else name
    now, before = f"self.spec.{escaped}", f"oldSelf.spec.{escaped}"
    if field.is_required() or (field.default is not None and field.default_factory is None):
        return f"{now} == {before}"
    return f"(has({now}) ? has({before}) && {now} == {before} : !has({before}))"
