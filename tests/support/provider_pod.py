"""A provider of scripted models as a pod, for whole requests on a cluster; its log is what it was asked."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubectl import Kubectl

Json = dict[str, Any]

NAME, PORT = "provider", 8080
PROGRAM = "serve_provider.py"
FILES = ("scripted_provider.py", "model_minds.py", PROGRAM)
ANSWER_SECONDS = 4.0
"""Long enough for a call to be met while it is open."""


@dataclass(frozen=True)
class ProviderPod:
    """In a namespace of its own."""

    kubectl: Kubectl

    @property
    def url(self) -> str:
        return f"http://{NAME}.{self.kubectl.namespace}.svc:{PORT}/v1"

    def start(self, image: str, key: str) -> None:
        """It is told the digest of the key that it expects, and not the key."""
        sources = {name: (Path(__file__).parent / name).read_text() for name in FILES}
        digest = hashlib.sha256(key.encode()).hexdigest()
        for document in (_config_map(sources), _service(), _pod(image, digest)):
            self.kubectl("apply", "-f", "-", document=document)
        self.kubectl("wait", f"pod/{NAME}", "--for=condition=Ready", "--timeout=120s", seconds=130)

    def said(self) -> list[Json]:
        return [json.loads(line) for line in self.kubectl("logs", NAME).splitlines()]

    def calls(self) -> list[Json]:
        """As they began."""
        return [one for one in self.said() if one["event"] == "begun"]

    def is_asked(self) -> bool:
        """Whether a call is open now."""
        said = self.said()
        return 2 * len([one for one in said if one["event"] == "begun"]) > len(said)


def _config_map(sources: dict[str, str]) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": sources}


def _service() -> Json:
    spec = {"selector": {"app": NAME}, "ports": [{"port": PORT, "targetPort": PORT}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": spec}


def _pod(image: str, digest: str) -> Json:
    container = {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-B", f"/provider/{PROGRAM}", str(PORT), str(ANSWER_SECONDS), digest],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "code", "mountPath": "/provider", "readOnly": True}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": {"app": NAME}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "code", "configMap": {"name": NAME}}],
        },
    }
