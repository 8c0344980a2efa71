"""A hundred requests of eight candidates each, by the operator and by a bare loop, in one run on one cluster."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config

from benchmarks.cluster import bare, hollow
from benchmarks.cluster.kube import SYSTEM, events, kubectl, operator, operators
from benchmarks.requests import amended, example
from benchmarks.table import Row
from fedwright_crds.work import BoxKind
from fedwright_operator.cluster.ours import OURS
from fedwright_operator.cluster.settings import Image

Json = dict[str, Any]

REQUESTS = 100
NODES = 20
CHART = Path(__file__).parents[2] / "charts" / "fedwright"
PLACE = {
    "nodeSelector": {hollow.LABEL: "true"},
    "tolerations": [{"key": hollow.LABEL, "operator": "Exists", "effect": "NoSchedule"}],
}
HOURS = 2


def measure(requests: int = REQUESTS) -> list[Row]:
    wish = _wish()
    config.load_kube_config()
    with tempfile.TemporaryDirectory(prefix="fedwright-scale-") as folder:
        home = _run_here(wish, Path(folder))
        with _boxes_on_hollow_nodes(Path(folder)), _hollow(home):
            first = [f"scale-{i}" for i in range(requests)]
            with _spaces(first), _created_in(first[0]) as jobs:
                before, began = operator(), time.monotonic()
                _apply(first, wish)
                _await_all(first)
                there, after = time.monotonic() - began, operator()
                winners = _winners()
            same = [bare.bare(one) for one in jobs.values()]
            second = [f"bare-{i}" for i in range(requests)]
            with _no_operator(), _spaces(second):
                began = time.monotonic()
                bare.create_all(same, second, wish["spec"].get("search", {}).get("parallel", 2))
                alone = time.monotonic() - began
    works = len(same) * requests
    seconds = _difference(after, before, "fedwright_reconcile_seconds")
    calls = after["fedwright_api_calls"] - before["fedwright_api_calls"]
    return [
        Row("requests at one time", requests, "", f"{len(winners)} winner(s): {', '.join(sorted(winners))}"),
        Row("works", works, "", f"{len(same)} a request"),
        Row("by the operator", there, "s", f"{works / there:.1f} works a second"),
        Row("by a bare loop", alone, "s", f"the same Jobs, {works / alone:.1f} a second"),
        Row("operator / bare loop", there / alone, "times", "at most 1.3"),
        Row("reconcile, 99th percentile", _quantile(seconds, 0.99), "s", "at most 1; the bucket's upper bound"),
        Row("operator's memory", after["process_resident_memory_bytes"] / 2**20, "MiB", "of the leader, at most 256"),
        Row("API calls of a request", calls / requests, "calls", f"{calls / works:.1f} a work"),
    ]


def _wish() -> Json:
    """Eight candidates: FedAvg and seven of the catalogue."""
    wish = amended(
        example("digits-noniid"),
        search={"catalogueMethods": 7, "planCandidates": 0, "proposals": 0, "generations": 0, "trials": 1},
        judging={"selectionSeeds": 1},
        budgets={"wallSeconds": HOURS * 3600},
        deployment={"enabled": False},
    )
    return {**wish, "metadata": {"name": "scale"}}


def _run_here(wish: Json, folder: Path) -> Path:
    file, home = folder / "scale.yaml", folder / "home"
    file.write_text(yaml.safe_dump(wish))
    command = [sys.executable, "-m", "fedwright_operator", "run", str(file), "--home", str(home)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return home


# -- the cluster ------------------------------------------------------------------------------------
@contextmanager
def _boxes_on_hollow_nodes(folder: Path) -> Iterator[None]:
    before = json.loads(_helm("get", "values", "fedwright", "--all", "--output", "json"))["boxes"]
    _set_boxes(folder, PLACE)
    try:
        yield
    finally:
        selector = {hollow.LABEL: None, **before["nodeSelector"]}  # helm merges maps: what is to go has to be said
        _set_boxes(folder, {"nodeSelector": selector, "tolerations": before["tolerations"]})


@contextmanager
def _no_operator() -> Iterator[None]:
    """It would watch the bare loop's Jobs too, and what that costs is its own."""
    count = kubectl("-n", SYSTEM, "get", "deployment", "fedwright", "-o", "jsonpath={.spec.replicas}")
    _scale_operator("0")
    try:
        yield
    finally:
        _scale_operator(count)


def _scale_operator(count: str) -> None:
    kubectl("-n", SYSTEM, "scale", "deployment/fedwright", f"--replicas={count}")
    kubectl("-n", SYSTEM, "rollout", "status", "deployment/fedwright", "--timeout=3m")
    while len(operators()) != int(count):
        time.sleep(1)


def _set_boxes(folder: Path, values: Json) -> None:
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump({"boxes": values}))
    _helm("upgrade", "fedwright", str(CHART), "--reuse-values", "--values", str(file), "--wait", "--timeout", "3m")


@contextmanager
def _hollow(home: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.cluster.hollow", "--home", str(home), "--nodes", str(NODES)]
    process = subprocess.Popen([*command, "--images", json.dumps(_pins())], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        if process.stdout.readline().strip() != "ready":
            raise SystemExit("the hollow nodes did not come up; is this a devcluster?")
        yield
    finally:
        process.terminate()
        process.wait(60)


def _pins() -> dict[BoxKind, str]:
    """What the operator pins works to."""
    body = json.loads(kubectl("-n", SYSTEM, "get", "cm", "fedwright", "-o", "json"))
    images = yaml.safe_load(body["data"]["config.yaml"])["boxes"]["images"]
    return {BoxKind(kind): Image.model_validate(image).pin for kind, image in images.items()}


@contextmanager
def _spaces(names: Sequence[str]) -> Iterator[None]:
    body = {"apiVersion": "v1", "kind": "List", "items": [_space(name) for name in names]}
    kubectl("create", "-f", "-", body=body)
    try:
        yield
    finally:
        kubectl("delete", "namespace", *names, "--wait=true")


def _space(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _apply(names: Sequence[str], wish: Json) -> None:
    items = [{**wish, "metadata": {**wish["metadata"], "namespace": name}} for name in names]
    kubectl("create", "-f", "-", body={"apiVersion": "v1", "kind": "List", "items": items})


def _await_all(names: Sequence[str]) -> None:
    """By a watch: who asks again and again takes time from what is measured."""
    kind = OURS["FLStrategyRequest"]
    group, _, version = kind.api_version.partition("/")
    answer = client.CustomObjectsApi().list_cluster_custom_object(
        group, version, kind.plural, watch=True, timeout_seconds=HOURS * 3600, _preload_content=False
    )
    running = set(names)
    for event in events(answer):
        body = event["object"]
        name, phase = body["metadata"]["namespace"], body.get("status", {}).get("phase")
        if name in running and phase in {"Succeeded", "NoImprovement"}:
            running.remove(name)
            print(f"{len(names) - len(running)} of {len(names)} requests have ended", file=sys.stderr)
        if not running:
            return
    raise SystemExit(f"{len(running)} of {len(names)} requests have not ended")


def _requests() -> list[Json]:
    found = json.loads(kubectl("get", "flsr", "-A", "-o", "json"))["items"]
    return [{"status": {}, **one} for one in found if one["metadata"]["namespace"].startswith("scale-")]


def _winners() -> set[str]:
    return {str(one["status"].get("winner") or "no winner") for one in _requests()}


@contextmanager
def _created_in(namespace: str) -> Iterator[dict[str, Json]]:
    """The Jobs that come to be there meanwhile, by uid, in their order."""
    jobs: dict[str, Json] = {}
    answer = client.BatchV1Api().list_namespaced_job(
        namespace, watch=True, timeout_seconds=HOURS * 3600, _preload_content=False
    )

    def follow() -> None:
        for event in events(answer):
            jobs.setdefault(event["object"]["metadata"]["uid"], event["object"])

    threading.Thread(target=follow, daemon=True).start()
    yield jobs


def _helm(*words: str) -> str:
    done = subprocess.run(["helm", *words, "--namespace", SYSTEM], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"helm {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


# -- metrics -----------------------------------------------------------------------------------------
def _difference(after: Mapping[str, float], before: Mapping[str, float], name: str) -> dict[float, float]:
    """Of a histogram: how many lay at or below each bound."""
    found: dict[float, float] = {}
    for key, value in after.items():
        if key.startswith(f"{name}_bucket"):
            bound = float(key.partition('le="')[2].partition('"')[0])
            found[bound] = found.get(bound, 0.0) + value - before.get(key, 0.0)
    return found


def _quantile(at_or_below: Mapping[float, float], share: float) -> float:
    whole = max(at_or_below.values())
    return min(bound for bound, count in at_or_below.items() if count >= share * whole)
