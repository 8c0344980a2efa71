"""Lessons as lines: what both sides that keep them agree on. What a lesson says is the agents' to know.

A lesson is a JSON object in its one spelling, so the same lesson is the same line, and to add it again changes nothing.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fedwright_crds.base import canonical

MOST_SEARCHED = 500
"""Lessons beside a knowledge base, the newest: each has to be embedded before the search."""
MOST_BYTES = 512 * 1024
"""Of the lines that are kept together: they fit into one ConfigMap."""


def line_of(lesson: Mapping[str, Any]) -> bytes:
    """Raises ValueError for figures that are not finite."""
    return canonical(lesson) + b"\n"


def lines_of(document: bytes) -> tuple[bytes, ...]:
    """Of a list of lessons, as a finished request's work writes it. Raises ValueError where it is none."""
    try:
        found = json.loads(document)
    except RecursionError:
        raise ValueError("it is nested too deeply for a list of lessons") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError("it is no list of lessons, which are JSON objects")
    return tuple(line_of(one) for one in found)


def whole_lines(kept: bytes) -> tuple[bytes, ...]:
    """Without half a line at the end, which a crash while adding may have left."""
    return tuple(kept[: kept.rfind(b"\n") + 1].splitlines(keepends=True))


def unknown(known: Iterable[bytes], offered: Iterable[bytes]) -> tuple[bytes, ...]:
    """Those lines that are not known yet, each once."""
    there = set(known)
    return tuple(line for line in dict.fromkeys(offered) if line not in there)


def with_more(kept: bytes, offered: Iterable[bytes]) -> bytes:
    """The lines that are kept once these are added: the newest, as many as are searched; the oldest are dropped."""
    known = whole_lines(kept)
    newest, size = list[bytes](), 0
    for line in reversed((*known, *unknown(known, offered))[-MOST_SEARCHED:]):
        size += len(line)
        if size > MOST_BYTES:
            break
        newest.append(line)
    return b"".join(reversed(newest))
