"""Texts that are known: compared with a file, which is written anew with UPDATE_SNAPSHOTS=1 in the environment."""

import os
from difflib import unified_diff
from pathlib import Path

UPDATE = "UPDATE_SNAPSHOTS"


def same_as(file: Path, text: str) -> None:
    """AssertionError shows what changed."""
    if os.environ.get(UPDATE):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    known = file.read_text() if file.exists() else ""
    changes = "".join(unified_diff(known.splitlines(True), text.splitlines(True), file.name, "as it is now", n=2))
    assert not changes, f"if this is meant, run the test again with {UPDATE}=1:\n{changes}"
