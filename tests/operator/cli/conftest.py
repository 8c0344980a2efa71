"""The command line as a person uses it: words in, exit status and text out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from person import Answer, Person, manifest_of

from fedwright_operator.cli import main


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def fedwright(home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Person:
    """`fedwright WORD...` on a home of its own."""
    monkeypatch.setenv("FEDWRIGHT_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")

    def say(*words: object) -> Answer:
        capfd.readouterr()
        status = main([str(word) for word in words])
        said = capfd.readouterr()
        return Answer(status, said.out, said.err)

    return say


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., Path]:
    """A file with a small request; fields of its spec by keyword, or whole documents."""

    def write(*documents: dict[str, Any], name: str = "wish", file: str = "wish.yaml", **spec: Any) -> Path:
        path = tmp_path / file
        path.write_text(yaml.safe_dump_all(documents or [manifest_of(name, **spec)]))
        return path

    return write
