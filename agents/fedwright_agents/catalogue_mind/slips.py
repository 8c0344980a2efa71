"""Slips of syntax that have one obvious mend: a colon, a bracket, a comma, tabs among spaces, a fence around the code."""

import re
from collections.abc import Callable, Mapping

from fedwright_crds.documents import CheckFailure

Line = Callable[[str], str]

FENCE = re.compile(r"^\s*```\w*\s*$", re.MULTILINE)
CLOSING = {"(": ")", "[": "]", "{": "}"}


def mend_syntax(files: Mapping[str, str], failure: CheckFailure) -> Mapping[str, str] | None:
    """The files with the slip mended, where its message is one of those known here."""
    source = files.get(failure.file)
    if source is None:
        return None
    if FENCE.search(source):
        return {**files, failure.file: FENCE.sub("", source).strip("\n") + "\n"}
    lines = source.split("\n")
    mended = _by_message(failure.message, lines, (failure.line or 1) - 1)
    return None if mended is None else {**files, failure.file: "\n".join(mended)}


def _by_message(message: str, lines: list[str], at: int) -> list[str] | None:
    if not 0 <= at < len(lines):
        return None
    if message.startswith("expected ':'"):
        return _changed(lines, at, lambda line: line.rstrip() + ":")
    if found := re.match(r"'([(\[{])' was never closed", message):
        return _closed(lines, at, CLOSING[found[1]])
    if found := re.match(r"unmatched '([)\]}])'", message):
        return _changed(lines, at, lambda line: _without_last(line, found[1]))
    if "forgot a comma" in message:
        return _comma(lines, at)
    if "tabs and spaces" in message or "unindent" in message:
        return [line.expandtabs(4) for line in lines] if any("\t" in line for line in lines) else None
    if message.startswith("expected an indented block"):
        return _indented(lines, at)
    if "Maybe you meant '=='" in message:
        return _changed(lines, at, lambda line: re.sub(r"(?<![=!<>:])=(?!=)", "==", line, count=1))
    return None


def _changed(lines: list[str], at: int, change: Line) -> list[str]:
    return [*lines[:at], change(lines[at]), *lines[at + 1 :]]


def _closed(lines: list[str], at: int, bracket: str) -> list[str]:
    """Before a colon that ends the line, else at its end."""
    line = lines[at].rstrip()
    if line.endswith(":"):
        return _changed(lines, at, lambda _: f"{line[:-1]}{bracket}:")
    return _changed(lines, at, lambda _: line + bracket)


def _without_last(line: str, bracket: str) -> str:
    where = line.rfind(bracket)
    return line[:where] + line[where + 1 :]


def _comma(lines: list[str], at: int) -> list[str] | None:
    """At the end of the line, if the next one goes on with the same list."""
    line = lines[at].rstrip()
    following = next((later.strip() for later in lines[at + 1 :] if later.strip()), "")
    if not line or line.endswith((",", "(", "[", "{")) or not following:
        return None
    return _changed(lines, at, lambda _: line + ",")


def _indented(lines: list[str], at: int) -> list[str]:
    """The line itself, under the statement that wants a block."""
    before = next((line for line in reversed(lines[:at]) if line.strip()), "")
    indent = " " * (len(before) - len(before.lstrip()) + 4)
    return _changed(lines, at, lambda line: indent + line.lstrip())
