"""YAML text as plain JSON values, each with the line that it came from, and back.

Reads YAML 1.2's core schema, as kubectl does: 1e-5 is a number, `on` and 2026-01-01 are text. It must not know what the
values mean. Text is hostile: no tag makes an object, aliases cannot blow up, a key given twice is an error.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MOST_VALUES = 50_000
"""In one text, aliases written out."""

TAG = "tag:yaml.org,2002:"

Path = tuple[str | int, ...]

PLAIN = re.compile(r"[-\w./]+")
"""What a message may repeat of a key as it is; other keys are quoted, so that none can pass for words of ours."""


def spelled(path: Iterable[str | int]) -> str:
    """A path as people write it: `spec.constraints[0].metric`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{named(part)}" for part in path).removeprefix(".")


def named(key: str) -> str:
    """A key as a message repeats it."""
    return key if PLAIN.fullmatch(key) else json.dumps(key)


class TextError(Exception):
    """Text that is no YAML of plain values; `line` counts from 1, or is None where none is to blame."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own way


class _Dumper(yaml.SafeDumper):
    """Quotes what a reader of YAML 1.1 or 1.2 would take for something other than text; writes no anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the base class's name and arguments
        return True


_SCALARS = {
    "null": (r"^(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "bool": (r"^(true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    # 010 is ten in YAML 1.2 and eight in 1.1, which kubectl reads: here it is text, which no number takes.
    "int": (r"^[-+]?(0|[1-9][0-9]{0,17})$", list("-+0123456789")),
    "float": (r"^[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?$", list("-+.0123456789")),
}
for _name, (_form, _first) in _SCALARS.items():
    for _reader_or_writer in (_Loader, _Dumper):
        _reader_or_writer.add_implicit_resolver(TAG + _name, re.compile(_form), _first)


_BREAKS = re.compile("[\x85\u2028\u2029]")
"""Line breaks to YAML 1.1, which reads them as another: only between double quotes are they written as what they are."""


def _written(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(f"{TAG}str", text, style='"' if _BREAKS.search(text) else None)


_Dumper.add_representer(str, _written)


def yaml_of(value: Any, width: int = 100) -> str:
    """A value as YAML text that every reader takes for the same value; maps keep their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width)


@dataclass
class Document:
    """One document of a text: its value as JSON has it, and where each part of it stands."""

    value: Any
    line: int
    lines: dict[Path, int] = field(default_factory=dict)

    def line_of(self, path: Path) -> int:
        """The line of a path, or of the nearest part above it that was written."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, self.line)


def documents(text: str) -> Iterator[Document]:
    """Each document that says anything. TextError names the line."""
    budget = _Budget(MOST_VALUES)
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            assert node is not None
            document = Document(None, node.start_mark.line + 1)
            document.value = _value(node, (), document.lines, budget)
            if document.value is not None:
                yield document
        loader.dispose()
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        raise TextError(
            f"this is not YAML: {problem.problem or problem.context}", mark.line + 1 if mark else None
        ) from None
    except yaml.YAMLError as problem:
        raise TextError(f"this is not YAML: {str(problem).splitlines()[0]}") from None
    except RecursionError:
        raise TextError("values are nested too deep; write a flat manifest") from None


@dataclass
class _Budget:
    left: int

    def spend(self, node: yaml.Node) -> None:
        self.left -= 1
        if self.left < 0:
            line = node.start_mark.line + 1
            raise TextError(f"more than {MOST_VALUES:,} values, aliases written out; split the file", line)


def _value(node: yaml.Node, path: Path, lines: dict[Path, int], budget: _Budget) -> Any:
    budget.spend(node)
    lines[path] = node.start_mark.line + 1
    kind = node.tag.removeprefix(TAG)
    match node:
        case yaml.MappingNode() if kind == "map":
            return _mapping(node, path, lines, budget)
        case yaml.SequenceNode() if kind == "seq":
            return [_value(one, (*path, i), lines, budget) for i, one in enumerate(node.value)]
        case _:
            return _scalar(node, kind)


def _mapping(node: yaml.MappingNode, path: Path, lines: dict[Path, int], budget: _Budget) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise TextError("a key is no text; write plain keys", line)
        key = _whole(str(key_node.value), key_node)
        if key in found:
            raise TextError(f"{spelled((*path, key))} is given twice; remove one", line)
        found[key] = _value(value_node, (*path, key), lines, budget)
        lines[*path, key] = line
    return found


def _scalar(node: yaml.Node, kind: str) -> Any:
    text: str = node.value
    match kind:
        case "str":
            return _whole(text, node)
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int" | "float":
            return _number(text, kind, node.start_mark.line + 1)
        case _:
            raise TextError(f"the tag {kind} is not read; write a plain value", node.start_mark.line + 1)


def _whole(text: str, node: yaml.Node) -> str:
    """Escapes may name half of a character, which no JSON can carry."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TextError("text holds half of a character; write it whole", node.start_mark.line + 1) from None
    return text


def _number(text: str, kind: str, line: int) -> int | float:
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        raise TextError(f"{text[:40]!r} is no number", line) from None
