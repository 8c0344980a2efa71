"""What is wrong with a manifest, in words for the person who wrote it: the field's path, what is there, what to write.

Works from what pydantic found and from the structural schema, so that the words cannot differ from what is checked. It
must not know where the manifest came from.
"""

import json
import re
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from fedwright_crds import base, meta, task
from fedwright_crds.schema import Schema, structural
from fedwright_crds.yaml_text import Path, named, spelled

WORDS = re.compile(r"\w+")

MOST_SHOWN = 60
"""Characters of a value that a message repeats."""


def _pattern(annotated: Any) -> str:
    (constraints,) = annotated.__metadata__
    return str(constraints.pattern)


FORMS = {
    _pattern(base.Name): "a name of lower-case letters, digits, '-' and '.'",
    _pattern(base.Namespace): "a name of lower-case letters, digits and '-'",
    _pattern(base.Word): "a word of letters, digits, '-', '_' and '.'",
    _pattern(base.Digest): "a digest, sha256: and 64 hexadecimal digits",
    _pattern(meta.Key): "a name of letters, digits, '-', '_' and '.', or domain/name",
    _pattern(meta.LabelValue): "letters, digits, '-', '_' and '.', or nothing",
    _pattern(task.EntryPoint): "module:function",
}


def mended(model: type[BaseModel], problem: ValidationError) -> list[tuple[Path, str]]:
    """Each problem once: the path of the field, and a message that names it, the reason and the mend."""
    return [_mended(model, error) for error in problem.errors(include_url=False)]


def nearest(wrong: str, known: Sequence[str]) -> str | None:
    """The known name that was probably meant, whatever its case or underscores."""
    by_letters = {name.lower(): name for name in known}
    found = get_close_matches(to_camel(wrong).lower(), by_letters, n=1, cutoff=0.7)
    return by_letters[found[0]] if found else None


def _path(error: ErrorDetails) -> Path:
    """Without the mark that pydantic puts on a map's bad key."""
    return tuple(part for part in error["loc"] if part != "[key]")


def _mended(model: type[BaseModel], error: ErrorDetails) -> tuple[Path, str]:
    path = _path(error)
    if error["type"] == "value_error":
        return _said_by_validator(path, str(error["ctx"]["error"]), _schema(model))
    return path, _message(error, path, _schema(model))


def _message(error: ErrorDetails, path: Path, whole: Schema) -> str:
    where, schema = spelled(path), _at(whole, path)
    match error["type"]:
        case "extra_forbidden":
            return f"{where} is not a field; {_instead(str(path[-1]), _at(whole, path[:-1]))}"
        case "missing":
            return f"{where} is missing; give {form(schema)}"
        case "string_pattern_mismatch" if "[key]" in error["loc"]:
            pattern = error["ctx"]["pattern"]
            return f"{where}: {_shown(error['input'])} cannot be a name here; give {FORMS.get(pattern, pattern)}"
        case _:
            return f"{where} is {_shown(error['input'])}; give {form(schema)}"


def _said_by_validator(path: Path, said: str, whole: Schema) -> tuple[Path, str]:
    """What a model's validator says opens with the path of the field that it means, where it means one."""
    parts = tuple(int(part) if part.isdigit() else part for part in WORDS.findall(said.split(maxsplit=1)[0]))
    if parts and _at(whole, (*path, *parts)):
        return (*path, *parts), f"{spelled(path)}.{said}".removeprefix(".")
    return path, f"{spelled(path)}: {said}"


def _instead(wrong: str, schema: Schema) -> str:
    known = list(schema.get("properties", ()))
    near = nearest(wrong, known)
    return f"write {near}" if near else f"remove it or write one of {', '.join(known)}"


@cache
def _schema(model: type[BaseModel]) -> Schema:
    return structural(model)


def _at(schema: Schema, path: Path) -> Schema:
    for part in path:
        below = schema.get("items") if isinstance(part, int) else schema.get("properties", {}).get(part)
        schema = below or schema.get("additionalProperties") or {}
    return schema


def form(schema: Schema) -> str:
    """What a field takes, in words."""
    if choices := schema.get("enum"):
        return str(choices[0]) if len(choices) == 1 else f"one of {', '.join(map(str, choices))}"
    match schema.get("type"):
        case "integer":
            return f"a whole number{_bounds(schema)}"
        case "number":
            return f"a number{_bounds(schema)}"
        case "boolean":
            return "true or false"
        case "string":
            return FORMS.get(schema.get("pattern", ""), "text") + _length(schema)
        case "array":
            return f"a list of {_count(schema.get('minItems', 0), schema['maxItems'])}"
        case "object" if "properties" in schema:
            return f"a mapping with {', '.join(schema.get('required') or schema['properties'])}"
        case "object":
            return f"a mapping of at most {schema['maxProperties']} names to {form(schema['additionalProperties'])}"
        case _:
            return "another value"


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None and not schema.keys() & {"exclusiveMinimum", "exclusiveMaximum"}:
        return f" from {_figure(low)} to {_figure(high)}"
    least = "" if low is None else f" {'above' if 'exclusiveMinimum' in schema else 'of at least'} {_figure(low)}"
    most = "" if high is None else f" {'below' if 'exclusiveMaximum' in schema else 'at most'} {_figure(high)}"
    return f"{least}{' and' if least and most else ''}{most}"


def _figure(value: float) -> str:
    return f"{int(value) if value == int(value) else value:,}"


def _length(schema: Schema) -> str:
    if schema.get("minLength") == 1 and "pattern" not in schema:
        return f" of 1 to {schema['maxLength']:,} characters"
    return f", at most {schema['maxLength']:,} characters"


def _count(least: int, most: int) -> str:
    return f"{least} to {most} entries" if least else f"at most {most} entries"


def _shown(value: Any) -> str:
    match value:
        case dict():
            return f"a mapping with {', '.join(named(str(key)) for key in list(value)[:4]) or 'nothing in it'}"
        case list() | tuple():
            return f"a list of {len(value)} entries"
        case None:
            return "empty"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}... ({len(str(value)):,} characters)"
