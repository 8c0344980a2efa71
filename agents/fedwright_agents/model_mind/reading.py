"""Reads what a model wrote: a JSON object, files in fences, edits. Text in, values or Misread out; nothing is executed."""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

LONGEST = 400_000
"""Characters of an answer that are looked at."""
MOST_COMPLAINTS = 8
D = TypeVar("D", bound=BaseModel)

_FENCE = re.compile(
    r"^(?P<fence>`{3,})[ \t]*(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL
)
_FILE = re.compile(r"(?P<name>[a-z_][a-z0-9_]{0,59}\.py)\b")
_DEVIATION = re.compile(r"^DEVIATION:[ \t]*(?P<what>\S.*)$", re.MULTILINE)
_OBJECT = re.compile(r'\{\s*["}]')
_EDIT = re.compile(
    r"^<{5,9} SEARCH[ \t]*\n(?P<search>.*?)^={5,9}[ \t]*\n(?P<replace>.*?)^>{5,9} REPLACE[ \t]*$",
    re.MULTILINE | re.DOTALL,
)


class Misread(Exception):  # noqa: N818 - told to the model, not to a person
    """The answer is not what was asked for; the text says what to write instead, and `again` how much of it."""

    def __init__(self, text: str, again: str = "Answer again, whole.") -> None:
        super().__init__(text)
        self.again = again


def read_json(kind: type[D], text: str) -> D:
    """The first JSON object in the text as a document of this kind."""
    try:
        return kind.model_validate(_first_object(text[:LONGEST]))
    except ValidationError as error:
        raise Misread("The JSON does not fit: " + "; ".join(_complaints(error)) + ".") from None


def _first_object(text: str) -> Mapping[str, Any]:
    """Models put words or a fence around what they were asked for; the object is what counts."""
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    problem = "no JSON object in the answer"
    for at in (match.start() for match in re.finditer(r"\{", text)):
        try:
            found, _ = decoder.raw_decode(text, at)
        except ValueError as error:
            problem = f"the JSON is broken: {error}"
            if _OBJECT.match(text, at):
                break  # what looks like the beginning of an object is the one that was meant
            continue
        except RecursionError:
            problem = "the JSON is nested too deeply"
            break
        if isinstance(found, dict):
            return found
    raise Misread(f"{problem}. Answer with one JSON object and nothing else.")


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _complaints(error: ValidationError) -> list[str]:
    found = [f"{'.'.join(map(str, one['loc'])) or 'the object'}: {one['msg']}" for one in error.errors()]
    more = len(found) - MOST_COMPLAINTS
    return found[:MOST_COMPLAINTS] + ([f"and {more} more"] if more > 0 else [])


def read_files(text: str) -> dict[str, str]:
    """Fenced blocks whose first line, or the line above them, names a file; the last block of a name counts."""
    files = {}
    for block in _FENCE.finditer(text[:LONGEST]):
        above = text[: block.start()].rstrip().rpartition("\n")[2]
        named = _FILE.search(block["info"]) or _FILE.search(above) or _FILE.match(block["body"].lstrip("# "))
        if named:
            files[named["name"]] = block["body"]
    if not files:
        raise Misread("No file found. Write each file in a fence that names it, such as ```python strategy.py")
    return files


def deviation(text: str) -> str:
    """What the author says that the code does otherwise than was planned."""
    said = _DEVIATION.search(text[:LONGEST])
    return said["what"].strip()[:1024] if said else ""


def apply_edits(text: str, files: Mapping[str, str]) -> dict[str, str]:
    """The files after the edits in the text, in order. A search text must stand exactly once in its file."""
    text = text[:LONGEST]
    changed, wrong, name, at = dict(files), [], "", 0
    for edit in _EDIT.finditer(text):
        name, at = _file_between(text, at, edit.start()) or name, edit.end()
        try:
            changed[name] = _replaced(name, changed, edit["search"], edit["replace"])
        except Misread as problem:
            wrong.append(str(problem))
    if wrong:
        raise Misread(" ".join(wrong[:MOST_COMPLAINTS]), "Answer with all edits again, those that fitted too.")
    whole = {name: body for name, body in _whole_files(text).items() if changed.get(name) != body}
    if not at and not whole:
        raise Misread("No edit found. Write the file's name, then a SEARCH/REPLACE block.")
    return {**changed, **whole}


def _whole_files(text: str) -> dict[str, str]:
    """New files beside the edits. A fence around an edit is no file."""
    try:
        return {name: body for name, body in read_files(text).items() if not _EDIT.search(body)}
    except Misread:
        return {}


def _file_between(text: str, begin: int, end: int) -> str:
    """The last file that is named there; an edit that names none is of the same file as the one before it."""
    named = [match["name"] for match in _FILE.finditer(text, max(begin, end - 400), end)]
    return named[-1] if named else ""


def _replaced(name: str, files: Mapping[str, str], search: str, replace: str) -> str:
    if name not in files:
        raise Misread(f"An edit names {name or 'no file'}; there are {', '.join(sorted(files))}.")
    source = files[name]
    if not search.strip():
        raise Misread(f"An edit of {name} searches for nothing; copy the lines that it replaces.")
    count = source.count(search)
    if count == 1:
        return source.replace(search, replace)
    if count == 0 and source.count(search.rstrip("\n")) == 1:
        return source.replace(search.rstrip("\n"), replace.rstrip("\n"))
    times = "does not stand" if count == 0 else f"stands {count} times"
    first = search.strip().splitlines()[0][:120]
    raise Misread(f"The search text that begins with {first!r} {times} in {name}; copy enough of its lines exactly.")
