"""What the knowledge base holds: typed documents, clean and bounded whatever they came from. It knows no index and no model."""

import unicodedata
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from fedwright_crds.base import Strict, Word

LONGEST_PASSAGE = 700
"""Characters; about what an embedder reads of a text."""


def clean(text: str) -> str:
    """Without characters that are not seen (controls, bidirectional marks, tags); one kind of line break, no tabs."""
    lines = text.expandtabs(4).splitlines()
    return "\n".join(
        "".join(c for c in line if not unicodedata.category(c).startswith("C")).rstrip() for line in lines
    ).strip("\n")


def serving(term: str) -> str:
    """The paragraph by which an entry says what it serves."""
    return f"Serves {term}."


class Kind(StrEnum):
    METHOD = "Method"
    PART = "Part"
    FAMILY = "Family"
    TEMPLATE = "Template"
    LESSON = "Lesson"
    RULE = "Rule"


EntryId = Annotated[str, StringConstraints(pattern=r"^[a-z]+/[A-Za-z0-9][-A-Za-z0-9_.]*$", max_length=128)]
Facet = Annotated[tuple[Word, ...], Field(max_length=64)]


def _text(longest: int) -> tuple[AfterValidator, StringConstraints]:
    return AfterValidator(clean), StringConstraints(max_length=longest)


class Facets(Strict):
    """What an entry is about, for filters. A search keeps entries that share a value with each facet it names."""

    families: Facet = ()
    """Of the eight problem families."""
    slots: Facet = ()
    needs: Facet = ()
    """Capabilities that a model must have."""
    purposes: Facet = ()
    """Circumstances of the catalogue that it serves."""

    def named(self) -> dict[str, tuple[str, ...]]:
        """Those that have values."""
        return {name: values for name in Facets.model_fields if (values := getattr(self, name))}

    def match(self, wanted: "Facets") -> bool:
        own = self.named()
        return all(set(values) & set(own.get(name, ())) for name, values in wanted.named().items())


class Entry(Strict):
    id: EntryId
    kind: Kind
    title: Annotated[str, *_text(200)]
    text: Annotated[str, *_text(8192)]
    """Paragraphs, with an empty line between them: what the entry is searched by, with its title."""
    details: Annotated[str, *_text(8192)] = ""
    """Names, numbers and references: shown, not searched."""
    code: Annotated[str, *_text(8192)] = ""
    """Python, for templates."""
    source: Annotated[str, *_text(512)]
    """The paper, the rule's table or the request that it comes from."""
    facets: Facets = Facets()
    suits: Annotated[dict[str, float], Field(max_length=64)] = Field(default_factory=dict)
    """How well it serves circumstances, named by the glossary's terms: 1 is best, below 0 is to be avoided. For ranks, not searched."""

    @property
    def passages(self) -> tuple[str, ...]:
        """What is embedded: the title, and each paragraph, cut where it is too long."""
        paragraphs = (" ".join(one.split()) for one in self.text.split("\n\n"))
        return (self.title, *(one[:LONGEST_PASSAGE] for one in paragraphs if one))

    @property
    def whole(self) -> str:
        """All of it as a person reads it."""
        return "\n\n".join(
            part for part in (self.title, self.text, self.details, self.code, f"Source: {self.source}") if part
        )
