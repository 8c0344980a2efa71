"""kubectl as tests use it: words in, text out, in a namespace of its own."""

import json
import os
import secrets
import subprocess
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Kubectl:
    """`kubectl(...)` returns what it printed; `refused(...)` what it complained of."""

    config: str
    programs: str
    namespace: str = field(default_factory=lambda: f"fedwright-tests-{secrets.token_hex(4)}")

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": self.config, "PATH": f"{self.programs}:{os.environ['PATH']}"}

    def __call__(self, *words: object, document: Any = None, seconds: float = 60.0) -> str:
        done = self._run(words, document, seconds)
        assert done.returncode == 0, f"kubectl {' '.join(map(str, words))}: {done.stderr}"
        return done.stdout

    def refused(self, *words: object, document: Any = None) -> str:
        done = self._run(words, document)
        assert done.returncode != 0, f"kubectl {' '.join(map(str, words))} was not refused: {done.stdout}"
        return done.stderr

    def get(self, *words: object) -> Any:
        return json.loads(self("get", *words, "-o", "json"))

    def stop_using(self) -> None:
        """Leave no resource of the tests in a cluster that goes on; the definitions may be in use."""
        self._run(("delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found"), None)

    def _run(self, words: tuple[object, ...], document: Any, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        given = None if document is None else json.dumps(document)
        return subprocess.run(
            ["kubectl", "-n", self.namespace, *map(str, words)],
            input=given,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
