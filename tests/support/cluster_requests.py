"""Requests on a cluster: small ones, how they end, and how often each work was started meanwhile."""

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from kubectl import Kubectl
from whole_requests import SMALL

Json = dict[str, Any]

TINY: Mapping[str, Any] = {
    **SMALL,
    "search": {"catalogueMethods": 1, "planCandidates": 0, "proposals": 0, "generations": 0, "trials": 1},
    "judging": {"selectionSeeds": 1, "freshSeeds": 10},
    "budgets": {"wallSeconds": 7200},
}
"""FedAvg and one method, with one trial each: about 30 works."""
SECONDS = 1500.0


def manifest(name: str = "tiny", **spec: Any) -> Json:
    return {
        "apiVersion": "fedwright.dev/v1alpha1",
        "kind": "FLStrategyRequest",
        "metadata": {"name": name},
        "spec": {**TINY, **spec},
    }


def apply(space: Kubectl, request: Json) -> None:
    space("apply", "-f", "-", document=request)


def request(space: Kubectl, name: str = "tiny") -> Json:
    return dict(space.get("flsr", name))


def ended(space: Kubectl, name: str = "tiny", seconds: float = SECONDS) -> Json:
    """The request once it has ended, whatever became of it."""
    space("wait", f"flsr/{name}", "--for=condition=Finished", f"--timeout={seconds:.0f}s", seconds=seconds + 30)
    return request(space, name)


def until(holds: Callable[[], bool], seconds: float = 180.0, pause: float = 0.5) -> None:
    """Wait for it; fails with the name of what did not come true."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{getattr(holds, '__name__', holds)} did not come true within {seconds:.0f} s"
        time.sleep(pause)


def held_up(space: Kubectl, name: str = "tiny") -> str:
    """Why works of a request cannot start, as its condition says; '' if they can."""
    conditions = request(space, name).get("status", {}).get("conditions", ())
    return next((one["reason"] for one in conditions if one["type"] == "HeldUp" and one["status"] == "True"), "")


def results(space: Kubectl) -> dict[str, Json]:
    """What became of each work, by id."""
    found = space.get("cm", "-l", "fedwright.dev/role=result")["items"]
    return {one["metadata"]["labels"]["fedwright.dev/work"]: json.loads(one["data"]["result.json"]) for one in found}


@contextmanager
def counted(space: Kubectl) -> Iterator[Counter[str]]:
    """How many Jobs there were of each WorkId while this is open, by their uids. None lives for less than a second."""
    uids, done = set[tuple[str, str]](), threading.Event()

    def look() -> None:
        while not done.wait(0.5):
            with suppress(AssertionError, subprocess.TimeoutExpired):  # the API server may be away
                jobs = space.get("jobs")["items"]
                uids.update((one["metadata"]["uid"], one["metadata"]["labels"]["fedwright.dev/work"]) for one in jobs)

    starts: Counter[str] = Counter()
    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield starts
    finally:
        done.set()
        thread.join()
        starts.update(work for _, work in uids)
