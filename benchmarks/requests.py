"""Whole requests as a user runs them: `fedwright run` in a process of its own, its answer read from the home."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

EXAMPLES = Path(__file__).parent.parent / "examples"


@dataclass(frozen=True)
class Answer:
    """What came of a request."""

    exit_status: int
    seconds: float
    result: Mapping[str, Any]

    @property
    def winner(self) -> str | None:
        winner = self.result.get("winner")
        return winner["candidate"] if winner else None


def example(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text()))


def amended(manifest: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    """The manifest with some fields of its spec changed; dictionaries are merged."""
    copy = deepcopy(dict(manifest))
    for key, value in spec.items():
        copy["spec"][key] = {**copy["spec"].get(key, {}), **value} if isinstance(value, dict) else value
    return copy


def run(manifest: Mapping[str, Any]) -> Answer:
    """Run a request in a home that is thrown away afterwards."""
    with TemporaryDirectory(prefix="fedwright-bench-") as folder:
        file, home = Path(folder, "request.yaml"), Path(folder, "home")
        file.write_text(yaml.safe_dump(dict(manifest)))
        began = time.monotonic()
        command = [sys.executable, "-m", "fedwright_operator", "run", str(file), "--home", str(home)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        answer = home / "result.json"
        if ended.returncode != 0 or not answer.exists():
            raise SystemExit(
                f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}"
            )
        found = Answer(ended.returncode, seconds, json.loads(answer.read_text()))
        seed = manifest["spec"].get("judging", {}).get("seed", 0)
        print(
            f"{manifest['metadata']['name']}, seed {seed}: {found.winner or 'no winner'} in {seconds:.0f} s",
            file=sys.stderr,
        )
        return found
