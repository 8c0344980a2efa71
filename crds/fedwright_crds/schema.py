"""A model as the structural schema that a Kubernetes API server takes (OpenAPI v3.0).

Pydantic writes JSON Schema 2020-12: references, `const`, `anyOf` with null, numeric exclusive bounds. A structural schema
has none of these. It must have a greatest size for every string, list and map, since the API server bounds the cost of
its rules by them; a model without one is refused here.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

DROPPED = ("$defs", "title", "propertyNames", "additionalProperties", "patternProperties", "anyOf", "const")
SIZES = {"string": "maxLength", "array": "maxItems"}


Notes = Mapping[str, Mapping[str, str]]
"""What to say of fields that have no description of their own: class name, then field as it is written."""


def structural(model: type[BaseModel], notes: Notes | None = None) -> Schema:
    """The whole schema of a model. TypeError names the path that has no structural form or no greatest size."""
    whole = model.model_json_schema(by_alias=True)
    parts = whole.get("$defs", {}) | {model.__name__: whole}
    for name, fields in (notes or {}).items():
        for field, note in fields.items():
            parts[name]["properties"][field].setdefault("description", note)
    return _Structure(parts).of(whole, model.__name__)


class _Structure:
    """One walk down a schema; `defs` are what its references name."""

    def __init__(self, defs: Schema) -> None:
        self._defs = defs

    def of(self, schema: Schema, path: str) -> Schema:
        found = self._plain(schema, path)
        kept = {word: value for word, value in found.items() if word not in DROPPED}
        if "const" in found:
            kept["enum"] = [found["const"]]
        if "default" in kept and (default := _without_null(kept.pop("default"))) is not None:
            kept["default"] = default
        self._exclusive_bounds(kept)
        self._children(found, kept, path)
        _refuse_unbounded(kept, path)
        return kept

    def _plain(self, schema: Schema, path: str) -> Schema:
        """Without reference and without null; what stands beside a reference wins."""
        if reference := schema.get("$ref"):
            beside = {word: value for word, value in schema.items() if word != "$ref"}
            return self._plain(self._defs[reference.removeprefix("#/$defs/")] | beside, path)
        if options := schema.get("anyOf"):
            present = [one for one in options if one.get("type") != "null"]
            if len(present) != 1:
                raise TypeError(f"{path}: a union of {len(present)} types has no structural form")
            beside = {word: value for word, value in schema.items() if word != "anyOf"}
            return self._plain(present[0], path) | beside
        return schema

    def _exclusive_bounds(self, schema: Schema) -> None:
        for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if exclusive in schema:
                schema[bound] = schema[exclusive]
                schema[exclusive] = True

    def _children(self, found: Schema, kept: Schema, path: str) -> None:
        if "properties" in found:
            children = found["properties"].items()
            kept["properties"] = {name: self.of(child, f"{path}.{name}") for name, child in children}
        elif found.get("type") == "object":
            kept["additionalProperties"] = self.of(_values_of(found), f"{path}.*")
        if "items" in found:
            kept["items"] = self.of(found["items"], f"{path}[]")


def _values_of(mapping: Schema) -> Schema:
    """The schema of a map's values; pydantic puts it beside the keys' pattern where they have one."""
    (values,) = mapping.get("patternProperties", {"": mapping.get("additionalProperties")}).values()
    return values if isinstance(values, dict) else {}


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_null(part) for name, part in value.items() if part is not None}
    return value


def _refuse_unbounded(schema: Schema, path: str) -> None:
    kind = schema.get("type")
    if kind is None:
        raise TypeError(f"{path}: no type; a structural schema needs one")
    size = "maxProperties" if "additionalProperties" in schema else SIZES.get(kind)
    if size and size not in schema and "enum" not in schema:
        raise TypeError(f"{path}: no {size}; give the model's field a greatest size")
