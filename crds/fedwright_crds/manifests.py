"""Manifests: YAML text into resources and back, with one clear line for everything that is wrong.

Takes what `kubectl apply` takes and refuses what the API server would refuse. It must not know where resources are kept.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fedwright_crds.base import API_VERSION
from fedwright_crds.kinds import KINDS, AnyKind
from fedwright_crds.mending import mended, nearest
from fedwright_crds.meta import Resource
from fedwright_crds.yaml_text import Document, TextError, documents, yaml_of

M = TypeVar("M", bound=BaseModel)

MOST_BYTES = 256 * 1024
MOST_PROBLEMS = 8
"""Told at one time."""


class ManifestError(Exception):
    """What is wrong with a manifest: a line of text for each problem, naming the place, the field and the mend."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_manifests(source: str | Path) -> list[AnyKind]:
    """The resources of a text or of a file, in their order. A status is left out, as on a cluster. ManifestError."""
    where = str(source) if isinstance(source, Path) else ""
    text = text_of(source) if isinstance(source, Path) else source
    found = [(one, _resource(one, where)) for document in _documents(text, where) for one in _entries(document)]
    if not found:
        raise ManifestError(
            [_placed(where, None, "there is nothing in it; write a resource, such as FLStrategyRequest")]
        )
    if twice := list(_twice(found, where)):
        raise ManifestError(twice)
    return [resource for _, resource in found]


def dump_yaml(resource: Resource) -> str:
    """A resource as a manifest says it: no status, nothing that is as it is by default in its metadata."""
    metadata = resource.metadata.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    wire = resource.to_wire() | {"metadata": metadata}
    ordered = {name: wire[name] for name in ("apiVersion", "kind", "metadata", "spec")}
    return yaml_of(ordered)


def only_document(text: str, where: str) -> Document:
    """Of a text that must hold exactly one. ManifestError."""
    found = list(_documents(text, where))
    if len(found) != 1:
        raise ManifestError([_placed(where, None, f"there are {len(found) or 'no'} documents in it; write one")])
    return found[0]


def checked(model: type[M], value: Any, document: Document, where: str) -> M:
    """A document's value as its model. ManifestError tells every problem in its line."""
    try:
        return model.model_validate_json(json.dumps(value), by_alias=True, by_name=False)
    except ValidationError as problem:
        lines = [_placed(where, document.line_of(path), message) for path, message in mended(model, problem)]
        more = len(lines) - MOST_PROBLEMS
        raise ManifestError(lines[:MOST_PROBLEMS] + ([f"and {more} more like these"] if more > 0 else [])) from None


def text_of(file: Path) -> str:
    """ManifestError where it cannot be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(MOST_BYTES + 1).decode()
    except UnicodeDecodeError:
        raise ManifestError([f"{file}: this is not UTF-8 text; write YAML"]) from None
    except OSError as problem:
        raise ManifestError([f"{file}: {problem.strerror}; name a file that can be read"]) from None


def _documents(text: str, where: str) -> Iterator[Document]:
    if len(text.encode(errors="surrogatepass")) > MOST_BYTES:
        raise ManifestError([_placed(where, None, f"more than {MOST_BYTES // 1024} KiB; split the file")])
    try:
        yield from documents(text)
    except TextError as problem:
        raise ManifestError([_placed(where, problem.line, str(problem))]) from None


def _placed(where: str, line: int | None, message: str) -> str:
    place = ", ".join([*([where] if where else []), *([f"line {line}"] if line else [])])
    return f"{place or 'the manifest'}: {message}"


def _entries(document: Document) -> list[Document]:
    """A `List`, as `get -o yaml` prints it, is its items."""
    match document.value:
        case {"apiVersion": "v1", "kind": "List", "items": list(items)}:
            found = [Document(item, document.line_of(("items", place))) for place, item in enumerate(items)]
        case _:
            return [document]
    for path, line in document.lines.items():
        match path:
            case ("items", int(place), *below):
                found[place].lines[tuple(below)] = line
    return found


def _resource(document: Document, where: str) -> AnyKind:
    model = _model(document, where)
    value = {name: part for name, part in document.value.items() if name != "status"}
    return checked(model, value, document, where)


def _model(document: Document, where: str) -> type[AnyKind]:
    """By apiVersion and kind."""

    def refusal(field: str, message: str) -> ManifestError:
        return ManifestError([_placed(where, document.line_of((field,)), message)])

    value = document.value
    if not isinstance(value, dict):
        raise refusal("", "a document is no mapping; write apiVersion, kind, metadata and spec")
    for field, known in (("apiVersion", [API_VERSION]), ("kind", list(KINDS))):
        given = value.get(field)
        if given is None:
            raise refusal(field, f"{field} is missing; give {' or '.join(known)}")
        if given not in known:
            near = nearest(str(given), known)
            raise refusal(field, f"{field} is {json.dumps(given)[:80]}; give {near or ' or '.join(known)}")
    return KINDS[value["kind"]]


def _twice(found: list[tuple[Document, AnyKind]], where: str) -> Iterator[str]:
    seen: dict[tuple[str, str, str], Document] = {}
    for document, resource in found:
        key = (resource.kind, resource.metadata.namespace, resource.metadata.name)
        first = seen.setdefault(key, document)
        if first is not document:
            line = document.line_of(("metadata", "name"))
            yield _placed(
                where,
                line,
                f"metadata.name {key[2]} is already that of the {key[0]} at line {first.line}; rename one of the two",
            )
