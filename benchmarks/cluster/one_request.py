"""A request on the cluster against the same on one machine.

Seconds from the wish to the winner, what a judging Job costs beside its steps, and what the operator asks of the API.
"""

import json
import time
from collections.abc import Mapping
from datetime import datetime
from statistics import median
from typing import Any

from benchmarks.cluster.kube import SECONDS, kubectl, operator
from benchmarks.requests import amended, example, run
from benchmarks.table import Row

Json = dict[str, Any]

SPACE = "fedwright-bench"


def measure() -> list[Row]:
    """One small request, here and there."""
    wish = _small()
    here = run(wish)
    kubectl("create", "namespace", SPACE)
    try:
        before = operator()
        began = time.monotonic()
        kubectl("-n", SPACE, "apply", "-f", "-", body=wish)
        name = wish["metadata"]["name"]
        kubectl("-n", SPACE, "wait", f"flsr/{name}", "--for=condition=Finished", f"--timeout={SECONDS}s")
        there, after = time.monotonic() - began, operator()
        winner = json.loads(kubectl("-n", SPACE, "get", "flsr", name, "-o", "json"))["status"].get("winner") or None
        works = [json.loads(one["data"]["result.json"]) for one in _results()]
    finally:
        kubectl("delete", "namespace", SPACE, "--wait=false")
    judged = [one for one in works if one["kind"] == "judge"]
    gained = {key: value - before.get(key, 0.0) for key, value in after.items()}  # a new leader has counted nothing
    passes, spent = gained["fedwright_reconcile_seconds_count"], gained["fedwright_reconcile_seconds_sum"]
    calls = gained["fedwright_api_calls"]
    return [
        Row("request on one machine", here.seconds, "s", f"{here.winner or 'no winner'}"),
        Row("request on the cluster", there, "s", f"{winner or 'no winner'}, {len(works)} works"),
        Row("judging Job, first container to last", median(map(_seconds, judged)), "s", f"median of {len(judged)}"),
        Row("judging Job, beside its steps", median(map(_beside, judged)), "s", "starting containers and their boxes"),
        Row("API calls of a request", calls, "calls", f"{calls / max(1, len(works)):.1f} a work"),
        Row("reconcile, mean", 1000 * spent / max(1, passes), "ms", f"of {passes:.0f} passes"),
        Row("reconcile, within one second", 100 * _within_a_second(after), "%", "of all since its start"),
        Row("operator's memory", after["process_resident_memory_bytes"] / 2**20, "MiB", "of the leader, at most 256"),
    ]


def _small() -> Json:
    wish = amended(
        example("digits-noniid"),
        search={"catalogueMethods": 1, "planCandidates": 0, "proposals": 0, "generations": 0, "trials": 1},
        judging={"selectionSeeds": 1},
        deployment={"enabled": False},
    )
    return {**wish, "metadata": {"name": "small"}}


def _seconds(work: Mapping[str, Any]) -> float:
    began, ended = (datetime.fromisoformat(work[key]) for key in ("startedAt", "finishedAt"))
    return (ended - began).total_seconds()


def _beside(work: Mapping[str, Any]) -> float:
    return _seconds(work) - sum(verdict["wallSeconds"] for verdict in work["verdicts"])


def _results() -> list[Json]:
    found = kubectl("-n", SPACE, "get", "cm", "-l", "fedwright.dev/role=result", "-o", "json")
    return list(json.loads(found)["items"])


def _within_a_second(metrics: Mapping[str, float]) -> float:
    buckets = [
        value
        for key, value in metrics.items()
        if key.startswith("fedwright_reconcile_seconds_bucket") and 'le="1.0"' in key
    ]
    return sum(buckets) / max(1.0, metrics["fedwright_reconcile_seconds_count"])
