"""What a page is made of: sections of words, pictures and the figures behind them. No HTML here, and no reading of results."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; `figures` are the columns that hold numbers. Folded: shown when asked for."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures: frozenset[int] = frozenset()
    folded: bool = False


@dataclass(frozen=True)
class Picture:
    """An SVG drawing of our own making, and what it shows in words for who cannot see it."""

    svg: str
    alt: str


@dataclass(frozen=True)
class Section:
    """One concern of the report. `plain` is text of others, shown as it was written."""

    id: str
    title: str
    words: tuple[str, ...] = ()
    plain: str = ""
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
