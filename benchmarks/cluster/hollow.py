"""Nodes of which only the kubelet's words exist: `python -m benchmarks.cluster.hollow --home DIR --images JSON [--nodes N]`.

A pod of a work that is bound to one of them has run as soon as it is seen: its status says what the same work's containers said
on one machine, and its log is what the last one delivered. Prints `ready` when the nodes are. Ends on SIGTERM, nodes and all.
"""

import argparse
import json
import os
import signal
import ssl
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kubernetes import client, config

from benchmarks.cluster.kube import events
from benchmarks.cluster.recorded import Delivery, Recorded, recorded_at
from fedwright_boxes.pod import contract
from fedwright_boxes.pod.contract import Ending
from fedwright_boxes.pod.deliver import lines, note_of
from fedwright_crds.work import BoxKind

Json = dict[str, Any]

LABEL = "fedwright.dev/hollow"
"""Label and taint of the nodes."""
WORK, KIND, OURS = "fedwright.dev/work", "fedwright.dev/kind", "app.kubernetes.io/managed-by=fedwright"
HOST = "172.30.0.254"
"""Where the API server of a devcluster finds servers of this machine."""
HEARTBEAT_SECONDS = 5.0
THREADS = 8
MERGE = "application/strategic-merge-patch+json"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="a finished request's")
    parser.add_argument("--images", required=True, help="what works are pinned to on the cluster, by box")
    parser.add_argument("--nodes", type=int, default=20)
    given = parser.parse_args(argv)
    images = {BoxKind(kind): digest for kind, digest in json.loads(given.images).items()}
    config.load_kube_config()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    kubelet = Kubelet(recorded_at(given.home, images))
    with serving(kubelet) as port:
        nodes = Nodes(given.nodes, port)
        nodes.create()
        try:
            threading.Thread(target=kubelet.follow, daemon=True).start()
            print("ready", flush=True)
            while not stopped.wait(HEARTBEAT_SECONDS):
                nodes.beat()
        finally:
            nodes.delete()
    os._exit(0)  # the watch has no end of its own


class Nodes:
    """The nodes as objects, each with a heartbeat."""

    def __init__(self, count: int, port: int) -> None:
        self._names = [f"hollow-{i}" for i in range(count)]
        self._port = port
        self._core, self._leases = client.CoreV1Api(), client.CoordinationV1Api()

    def create(self) -> None:
        for name in self._names:
            labels = {LABEL: "true", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
            taint = {"key": LABEL, "value": "true", "effect": "NoSchedule"}
            self._core.create_node({"metadata": {"name": name, "labels": labels}, "spec": {"taints": [taint]}})
        self.beat()

    def beat(self) -> None:
        room = {"cpu": "64", "memory": "512Gi", "pods": "2000", "ephemeral-storage": "1Ti"}
        now = _now()
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "on paper"}
        status = {
            "addresses": [{"type": "InternalIP", "address": HOST}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            "capacity": room,
            "allocatable": room,
            "conditions": [{**ready, "lastHeartbeatTime": now, "lastTransitionTime": now}],
        }
        for name in self._names:
            self._core.patch_node_status(name, {"status": status})

    def delete(self) -> None:
        for name in self._names:
            with suppress(client.ApiException):
                self._core.delete_node(name)


class Kubelet:
    """Of all hollow nodes."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded, self._core = recorded, client.CoreV1Api()
        self._logs: dict[tuple[str, str], bytes] = {}
        self._said: dict[str, tuple[Json, bytes]] = {}
        self._done: set[str] = set()

    def log(self, namespace: str, pod: str) -> bytes | None:
        return self._logs.get((namespace, pod))

    def follow(self) -> None:
        with ThreadPoolExecutor(THREADS) as threads:
            for event in self._events():
                pod = event["object"]
                if event["type"] in {"ADDED", "MODIFIED"} and str(pod["spec"].get("nodeName", "")).startswith(
                    "hollow-"
                ):
                    threads.submit(self._tend, pod)

    def _events(self) -> Iterator[Json]:
        while True:
            answer = self._core.list_pod_for_all_namespaces(
                label_selector=OURS, watch=True, timeout_seconds=3600, _preload_content=False
            )
            yield from events(answer)

    def _tend(self, pod: Json) -> None:
        """A pod that is deleted is gone; one that is new has run."""
        metadata = pod["metadata"]
        namespace, name, uid = metadata["namespace"], metadata["name"], metadata["uid"]
        try:
            if metadata.get("deletionTimestamp"):
                self._core.delete_namespaced_pod(name, namespace, grace_period_seconds=0, _preload_content=False)
            elif uid not in self._done:
                self._done.add(uid)
                status, self._logs[namespace, name] = self._ended(pod)
                self._core.patch_namespaced_pod_status(name, namespace, {"status": status}, _preload_content=False)
        except client.ApiException as problem:
            if problem.status != 404:
                print(f"{namespace}/{name}: {problem.reason}", file=sys.stderr, flush=True)

    def _ended(self, pod: Json) -> tuple[Json, bytes]:
        labels = pod["metadata"]["labels"]
        if labels[WORK] not in self._said:
            delivery = self._recorded.of(labels[WORK], labels[KIND])
            log = "".join(f"{line}\n" for line in lines(delivery.outputs)).encode()
            self._said[labels[WORK]] = _status(pod, delivery), log
        status, log = self._said[labels[WORK]]
        return {**status, "startTime": _now()}, log


def _status(pod: Json, delivery: Delivery) -> Json:
    steps = [one["name"] for one in pod["spec"]["initContainers"]]
    told = [contract.ending_bytes(Ending(verdict=verdict)).decode() for verdict in delivery.verdicts]
    last = note_of(delivery.outputs, contract.message_room(len(steps) + 1)).decode()
    return {
        "phase": "Succeeded",
        "hostIP": HOST,
        "conditions": [
            {"type": kind, "status": "False", "reason": "PodCompleted"} for kind in ("Ready", "ContainersReady")
        ],
        "initContainerStatuses": [_container(name, message) for name, message in zip(steps, told, strict=True)],
        "containerStatuses": [_container(pod["spec"]["containers"][0]["name"], last)],
    }


def _container(name: str, message: str) -> Json:
    now = _now()
    ended = {"exitCode": 0, "reason": "Completed", "message": message, "startedAt": now, "finishedAt": now}
    return {
        "name": name,
        "image": name,
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": ended},
    }


# -- the server of logs -------------------------------------------------------------------------------
class serving:  # noqa: N801 - used as a function
    """The kubelet's API as far as logs go, on a free port, with a certificate of the cluster's own authority."""

    def __init__(self, kubelet: Kubelet) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path).path.split("/")
                found = kubelet.log(parts[2], parts[3]) if parts[1] == "containerLogs" and len(parts) > 4 else None
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Length", str(len(found or b"")))
                self.end_headers()
                self.wfile.write(found or b"")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            context.load_cert_chain(_certificate(Path(folder)))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> int:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return int(self._server.server_address[1])

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()


def _certificate(folder: Path) -> Path:
    """Signed by the authority that the API server checks kubelets with."""
    home = Path(os.environ.get("DEVCLUSTER_HOME", "~/.cache/devcluster")).expanduser() / "state" / "pki"
    authority = x509.load_pem_x509_certificate((home / "ca.crt").read_bytes())
    signer: Any = serialization.load_pem_private_key((home / "ca.key").read_bytes(), None)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hollow")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    file = folder / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    sys.exit(main())
