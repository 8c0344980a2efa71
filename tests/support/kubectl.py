"""kubectl as tests use it: words in, text out, in a namespace of its own."""

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any

NAMESPACE = "fedwright-tests"


@dataclass(frozen=True)
class Kubectl:
    """`kubectl(...)` returns what it printed; `refused(...)` what it complained of."""

    config: str
    programs: str

    def __call__(self, *words: object, document: Any = None) -> str:
        done = self._run(words, document)
        assert done.returncode == 0, f"kubectl {' '.join(map(str, words))}: {done.stderr}"
        return done.stdout

    def refused(self, *words: object, document: Any = None) -> str:
        done = self._run(words, document)
        assert done.returncode != 0, f"kubectl {' '.join(map(str, words))} was not refused: {done.stdout}"
        return done.stderr

    def get(self, *words: object) -> Any:
        return json.loads(self("get", *words, "-o", "json"))

    def stop_using(self) -> None:
        """Leave nothing of the tests in a cluster that goes on."""
        self._run(("delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found"), None)
        self._run(("delete", "crd", "-l", "fedwright.dev/tests=true", "--wait=false"), None)

    def _run(self, words: tuple[object, ...], document: Any) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KUBECONFIG": self.config, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        given = None if document is None else json.dumps(document)
        return subprocess.run(
            ["kubectl", "-n", NAMESPACE, *map(str, words)],
            input=given,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
