"""Figures as a table for people and as JSON for programs."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure."""

    name: str
    value: float
    unit: str
    note: str = ""


def show(rows: Iterable[Row]) -> None:
    table = Table("figure", "value", "unit", "note")
    for row in rows:
        table.add_row(row.name, f"{row.value:.4g}", row.unit, row.note)
    Console().print(table)


def save(rows: Iterable[Row], path: Path) -> None:
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
