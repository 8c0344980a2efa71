"""What every model of the project has in common: strict types, no unknown field, camelCase outside, snake_case inside."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

GROUP = "fedwright.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
LONGEST_NAME = 200
"""Kubernetes allows 253; the rest is for what is made of a name, such as a file."""
LONGEST_LABEL = 63
_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
Name = Annotated[
    str, StringConstraints(pattern=rf"^{_DNS_LABEL}(\.{_DNS_LABEL})*$", min_length=1, max_length=LONGEST_NAME)
]
Namespace = Annotated[str, StringConstraints(pattern=rf"^{_DNS_LABEL}$", min_length=1, max_length=LONGEST_LABEL)]
Word = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", min_length=1, max_length=63)
]
Line = Annotated[str, StringConstraints(max_length=1024)]
Text = Annotated[str, StringConstraints(max_length=16384)]
Measures = Annotated[dict[Annotated[str, StringConstraints(max_length=63)], float], Field(max_length=64)]
"""Figures by name."""
Hyperparameters = Annotated[dict[Annotated[str, StringConstraints(max_length=63)], float], Field(max_length=32)]
"""Values by hyperparameter."""


class Strict(BaseModel):
    """Base of every kind and document. Numbers are finite, unknown fields are errors."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_enum_values=False,
    )

    def to_wire(self) -> dict[str, Any]:
        """The form that is written: camelCase, JSON types, absent where null."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


@dataclass(frozen=True)
class KeyedBy:
    """A list whose entries differ in these fields. Kubernetes merges such lists entry by entry."""

    fields: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._differ, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        keys = [to_camel(name) for name in self.fields]
        return handler(schema) | {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys}

    def _differ(self, entries: Sequence[Any]) -> Sequence[Any]:
        seen: dict[tuple[str, ...], int] = {}
        for place, entry in enumerate(entries):
            key = tuple(str(getattr(entry, name)) for name in self.fields)
            if (first := seen.setdefault(key, place)) != place:
                raise ValueError(f"entries {first} and {place} are both {'/'.join(key)}; rename or remove one")
        return entries


def canonical(value: Any) -> bytes:
    """JSON with one spelling for each value, so that equal things have equal digests."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
