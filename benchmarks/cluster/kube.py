"""The cluster as these figures see it: kubectl, and what the operator counts."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

SYSTEM = "fedwright-system"
SECONDS = 3600
SELECTOR = "app.kubernetes.io/component=operator"
LEASE_SECONDS = 60.0


def kubectl(*words: str, body: Json | None = None) -> str:
    done = subprocess.run(
        ["kubectl", *words],
        input=json.dumps(body) if body else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 60,
    )
    if done.returncode:
        raise SystemExit(
            f"kubectl {' '.join(words)}: {done.stderr.strip()}; is there a cluster with the operator (make cluster)?"
        )
    return done.stdout


def operator() -> dict[str, float]:
    """The leader's metrics, sums over labels."""
    said = kubectl("get", "--raw", f"/api/v1/namespaces/{SYSTEM}/pods/{_leader()}:9090/proxy/metrics")
    found: dict[str, float] = {}
    for line in said.splitlines():
        if match := re.fullmatch(r"(\w+)(\{.*\})? (\S+)", line):
            key = match[1] + (match[2] or "") if match[1].endswith("_bucket") else match[1]
            found[key] = found.get(key, 0.0) + float(match[3])
    return found


def operators() -> set[str]:
    """The pods that are, those on their way out included."""
    return set(kubectl("-n", SYSTEM, "get", "pods", "-l", SELECTOR, "-o", "name").split())


def events(answer: Any) -> Iterator[Json]:
    """Of a watch whose answer was not read yet: what comes, as the API writes it."""
    rest = b""
    for piece in answer.stream(amt=None, decode_content=True):
        *whole, rest = (rest + piece).split(b"\n")
        yield from (json.loads(line) for line in whole if line)


def _leader() -> str:
    """The pod that leads, or will in a moment: after an upgrade none does for a while, or one that is on its way out."""
    until = time.monotonic() + LEASE_SECONDS
    while time.monotonic() < until:
        lease = json.loads(kubectl("-n", SYSTEM, "get", "lease", "fedwright", "-o", "json"))
        pods = json.loads(kubectl("-n", SYSTEM, "get", "pods", "-o", "json"))["items"]
        staying = {one["metadata"]["name"] for one in pods if "deletionTimestamp" not in one["metadata"]}
        if (pod := lease["spec"].get("holderIdentity", "").split("/")[0]) in staying:
            return str(pod)
        time.sleep(1)
    raise SystemExit("no operator leads; look at its pods")
