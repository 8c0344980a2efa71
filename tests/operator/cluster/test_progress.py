"""How far a rollout is: read from its own log alone, sparingly, and whatever stands there."""

import json
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import pytest
from api_objects import completed, pod, running
from hypothesis import given
from hypothesis import strategies as st
from kubernetes import client
from some_works import a_deployment, a_judging

from fedwright_crds.work import Work
from fedwright_operator.cluster import names
from fedwright_operator.cluster.api import Api, ApiError, AwayError
from fedwright_operator.cluster.cache import Cache
from fedwright_operator.cluster.fit import Network
from fedwright_operator.cluster.labels import ROOT, WORK
from fedwright_operator.cluster.progress import LARGEST, LOOK_SECONDS, MOST_FIGURES, TROUBLE_SECONDS, Progress, figures

WORKED = a_deployment()
ROOT_UID = "u-1"


# -- a line ---------------------------------------------------------------------------------------
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_of_any_bytes_come_plain_numbers_or_nothing(line: bytes) -> None:
    assert all(isfinite(value) for value in figures(line).values())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=50), inner, max_size=30),
)


@given(JSON)
def test_of_any_json_come_few_plain_numbers_with_plain_names(said: Any) -> None:
    found = figures(json.dumps(said).encode())
    assert len(found) <= MOST_FIGURES
    assert all(abs(value) <= LARGEST and name.isascii() and name.isidentifier() for name, value in found.items())


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"round": 3, "accuracy": 0.5, "clients": 2}\n', {"round": 3.0, "accuracy": 0.5, "clients": 2.0}),
        ('{"round": true, "words": "x", "accuracy": null, "more": {"round": 4}}', {}),
        ('{"round": NaN, "loss": Infinity, "time": 1e999, "large": 1e10, "small": -1e10}', {}),
        ('{"round": ' + "9" * 4000 + "}", {}),
        ('{"round": ' + "9" * 5000 + "}", {}),
        ("[" * 4096, {}),
        ('{"a b": 1, "": 2, "\\u0661": 3, "round": 4}', {"round": 4.0}),
        ("7", {}),
        ("run 5 finished: lost", {}),
        ("", {}),
    ],
)
def test_what_comes_of_a_line(line: str, found: dict[str, float]) -> None:
    assert figures(line.encode()) == found


# -- a log ----------------------------------------------------------------------------------------
@dataclass
class Logs(Api):
    """An API that has the last lines of containers."""

    line: bytes = b'{"round": 1}'
    trouble: Exception | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(client.Configuration())

    def last_line(self, namespace: str, pod: str, container: str, seconds: int) -> bytes:
        self.asked.append((namespace, pod, container))
        if self.trouble:
            raise self.trouble
        return self.line


@dataclass
class Scene:
    """One root's pods, their logs, and the time."""

    logs: Logs = field(default_factory=Logs)
    cache: Cache = field(default_factory=Cache)
    now: float = 100.0
    version: int = 0

    def __post_init__(self) -> None:
        self.progress = Progress(self.logs, self.cache, lambda: self.now)

    def show(
        self, body: dict[str, Any], work: Work = WORKED, network: Network = Network.FEDERATION, **more: Any
    ) -> None:
        self.version += 1
        labels = {WORK: work.id, ROOT: ROOT_UID, names.NETWORK: network.value}
        steps = [{"name": name} for name in names.container_names(work)[:-1]]
        metadata = {**body["metadata"], "labels": labels, "resourceVersion": str(self.version), **more}
        self.cache.put({**body, "metadata": metadata, "spec": {"initContainers": steps}})

    def look(self) -> Any:
        return self.progress.of(ROOT_UID).get(WORKED.id)


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.show(pod(WORKED, [running()]))
    return scene


def test_rounds_are_counted_while_the_step_runs(scene: Scene) -> None:
    assert scene.look() == {"round": 1.0}
    scene.logs.line, scene.now = b'{"round": 2, "accuracy": 0.25}', scene.now + LOOK_SECONDS
    assert scene.look() == {"round": 2.0, "accuracy": 0.25}
    assert set(scene.logs.asked) == {("default", f"w-{WORKED.id}-abcde", "0-deploy")}


def test_between_two_looks_the_log_is_left_alone_and_the_next_look_is_told(scene: Scene) -> None:
    for _ in range(5):
        assert scene.look() == {"round": 1.0}
    assert len(scene.logs.asked) == 1
    assert scene.progress.due(ROOT_UID) == LOOK_SECONDS


def test_other_words_in_the_log_leave_the_figures_that_were(scene: Scene) -> None:
    scene.look()
    scene.logs.line, scene.now = b"run 5 finished: its ServerApp was lost", scene.now + LOOK_SECONDS
    assert scene.look() == {"round": 1.0}


@pytest.mark.parametrize("trouble", [ApiError(400, "BadRequest", "no such container"), AwayError("the node is away")])
def test_a_log_that_cannot_be_read_is_no_error_and_is_not_tried_again_soon(scene: Scene, trouble: Exception) -> None:
    scene.look()
    scene.logs.trouble, scene.now = trouble, scene.now + LOOK_SECONDS
    assert scene.look() == {"round": 1.0}
    assert scene.progress.due(ROOT_UID) == TROUBLE_SECONDS


def test_nothing_is_read_of_a_pod_that_waits_has_ended_or_is_on_its_way_out() -> None:
    for number, body in enumerate((pod(WORKED, []), pod(WORKED, completed(WORKED, 1)), pod(WORKED, [running()]))):
        scene = Scene()
        leaving = {"deletionTimestamp": "2026-11-25T12:00:00Z"} if number == 2 else {}
        scene.show(body, **leaving)
        assert scene.progress.of(ROOT_UID) == {} and scene.logs.asked == []
        assert scene.progress.due(ROOT_UID) == float("inf")


def test_no_log_of_a_box_without_a_federation_is_read() -> None:
    scene, work = Scene(), a_judging()
    scene.show(pod(work, [running()]), work, Network.CLOSED)
    assert scene.progress.of(ROOT_UID) == {} and scene.logs.asked == []


def test_when_the_step_has_ended_nothing_is_remembered(scene: Scene) -> None:
    scene.look()
    scene.show(pod(WORKED, completed(WORKED, 1)))
    assert scene.look() is None and scene.progress.due(ROOT_UID) == float("inf")
