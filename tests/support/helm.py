"""The real `helm`: a chart and values in, manifests or a refusal out. No cluster is asked."""

import json
import lzma
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import yaml

Json = dict[str, Any]

CHARTS = Path(__file__).parents[2] / "charts"
DEVCLUSTER = Path(__file__).parents[3] / "shared/devcluster"
"""Beside the repository, where it is there; the programs of its clusters are packed in it."""
UNPACKED = Path(os.environ.get("DEVCLUSTER_HOME", Path.home() / ".cache/devcluster")) / "bin/helm"


@cache
def program() -> Path | None:
    """Where helm is: on the path, else as devcluster has it. None: nowhere."""
    if found := shutil.which("helm"):
        return Path(found)
    if UNPACKED.exists():
        return UNPACKED
    packed = DEVCLUSTER / "addons.xz"
    if not packed.exists():
        return None
    helm = Path(mkdtemp(prefix="fedwright-helm-")) / "helm"  # it goes by the name that it is called
    with lzma.open(packed) as source, helm.open("wb") as target:
        shutil.copyfileobj(source, target)
    helm.chmod(0o755)
    return helm


@dataclass(frozen=True)
class Helm:
    """`helm(...)` returns what it printed; `refused(...)` what it complained of."""

    path: Path
    kubeconfig: str = "/nonexistent"
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *words: object, values: Json | None = None) -> str:
        done = self._run(words, values)
        assert done.returncode == 0, f"helm {' '.join(map(str, words))}: {done.stderr}{done.stdout}"
        return done.stdout

    def refused(self, *words: object, values: Json | None = None) -> str:
        done = self._run(words, values)
        assert done.returncode != 0, f"helm {' '.join(map(str, words))} was not refused: {done.stdout}"
        return done.stderr

    def template(self, chart: str, values: Json | None = None, *words: object) -> str:
        """What a release called as its chart would be, in the namespace `system`."""
        return self("template", chart, CHARTS / chart, "--namespace", "system", *words, values=values)

    def manifests(self, chart: str, values: Json | None = None, *words: object) -> list[Json]:
        return [one for one in yaml.safe_load_all(self.template(chart, values, *words)) if one]

    def _run(self, words: tuple[object, ...], values: Json | None) -> subprocess.CompletedProcess[str]:
        given = () if values is None else ("--values", "-")
        return subprocess.run(
            [self.path, *map(str, words), *given],
            input=None if values is None else json.dumps(values),
            env={**os.environ, "KUBECONFIG": self.kubeconfig, **self.environment},
            capture_output=True,
            text=True,
            timeout=120,
        )
