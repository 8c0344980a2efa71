"""The words that people use for the terms of the entries: a text with the terms that its words stand for."""

import re
from functools import cache
from importlib.resources import files

import yaml


def terms(text: str) -> tuple[str, ...]:
    """Terms whose phrases are in the text, in the order of the glossary. `handset` gives `client`."""
    pattern, meanings = _glossary()
    found = {phrase for match in pattern.finditer(_plain(text)) for phrase in meanings[match.group(1)]}
    return tuple(sorted(found))


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


@cache
def _glossary() -> tuple[re.Pattern[str], dict[str, tuple[str, ...]]]:
    """All phrases as one pattern, that also finds plurals, and the terms of each."""
    entries: dict[str, list[str]] = yaml.safe_load(
        (files(__package__) / "texts" / "glossary.yaml").read_text(encoding="utf-8")
    )
    meanings: dict[str, list[str]] = {}
    for term, phrases in entries.items():
        for phrase in {_plain(one) for one in (term, *phrases)}:
            meanings.setdefault(phrase, []).append(term)
    choices = "|".join(sorted(meanings, key=len, reverse=True))
    return re.compile(rf"\b(?=({choices})(?:s|es)?\b)"), {phrase: tuple(found) for phrase, found in meanings.items()}
