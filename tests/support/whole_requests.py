"""Whole requests in real boxes: `fedwright run` as a process, and what it leaves behind."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

SMALL: Mapping[str, Any] = {
    "goal": "Digits on twenty clients that hold one label each, as soon as possible.",
    "task": {
        "data": {"source": "Digits"},
        "partition": {"kind": "Pathological", "labelsPerClient": 1},
        "clients": 20,
        "training": {"rounds": 12, "localSteps": 30, "batchSize": 16, "weightDecay": 0.001},
    },
    "model": {"architecture": "Softmax", "hidden": []},
    "search": {"catalogueMethods": 1, "planCandidates": 1, "proposals": 2, "topK": 1, "generations": 1, "trials": 3},
    "interaction": {"questions": "Automatic", "plan": "Automatic", "promotion": "Automatic"},
    "deployment": {"enabled": False},
}


def write_request(folder: Path, name: str = "small", **spec: Any) -> Path:
    """The small request with some of its fields replaced, as a file."""
    manifest = {
        "apiVersion": "fedwright.dev/v1alpha1",
        "kind": "FLStrategyRequest",
        "metadata": {"name": name},
        "spec": {**SMALL, **spec},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return path


def command(request: Path, home: Path) -> list[str]:
    return [sys.executable, "-m", "fedwright_operator", "run", str(request), "--home", str(home)]


def run(request: Path, home: Path, seconds: float = 400) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(request, home), capture_output=True, text=True, timeout=seconds, check=False)


def result(home: Path) -> dict[str, Any]:
    return dict(json.loads((home / "result.json").read_text()))


def processes_about(home: Path) -> list[str]:
    """Command lines of live processes that name this home, or a process whose working folder lies in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            folder = str((process / "cwd").readlink())
        except OSError:
            continue
        if int(process.name) != os.getpid() and (str(home) in words or folder.startswith(str(home))):
            found.append(f"{process.name}: {words[:200]}")
    return found
