"""Requests on a cluster: small ones, how they end, and how often each work was started meanwhile."""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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


def results(space: Kubectl) -> dict[str, Json]:
    """What became of each work, by id."""
    found = space.get("cm", "-l", "fedwright.dev/role=result")["items"]
    return {one["metadata"]["labels"]["fedwright.dev/work"]: json.loads(one["data"]["result.json"]) for one in found}


@contextmanager
def counted(space: Kubectl) -> Iterator[Counter[str]]:
    """How many Jobs there were of each WorkId while this is open: every one that the API server told of, by its uid."""
    command = ["kubectl", "-n", space.namespace, "get", "jobs", "--watch", "--output-watch-events", "-o", "json"]
    starts: Counter[str] = Counter()
    with subprocess.Popen(command, env=space.environment, stdout=subprocess.PIPE, text=True) as watch:
        try:
            yield starts
        finally:
            watch.terminate()
            said, _ = watch.communicate()
            uids = {(one["uid"], one["labels"]["fedwright.dev/work"]) for one in _told(said)}
            starts.update(work for _, work in uids)


def _told(said: str) -> Iterator[Json]:
    """The metadata of each Job in a stream of watch events; the last may be cut short."""
    decoder, position = json.JSONDecoder(), 0
    while position < len(said):
        try:
            event, position = decoder.raw_decode(said, position)
        except ValueError:
            return
        yield event["object"]["metadata"]
        position += len(said[position:]) - len(said[position:].lstrip())
