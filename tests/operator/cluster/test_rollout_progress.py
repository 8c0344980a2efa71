"""A rollout in a pod is seen in its Deployment while it runs, and stopped when a person aborts it."""

from typing import Any

import pytest
from api_in_memory import ApiInMemory
from api_objects import running
from operator_core import Core

from fedwright_crds.deployment import Deployment
from fedwright_crds.federation import Federation
from fedwright_operator.cluster import progress
from fedwright_operator.cluster.api import JOB, POD, Json
from fedwright_operator.cluster.artifacts import ClusterArtifacts
from fedwright_operator.cluster.ours import OURS
from fedwright_operator.shell.planning import PLANNERS

OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "u-0"}


class Talking(ApiInMemory):
    """One whose rollout says something."""

    words = b""

    def last_line(self, namespace: str, pod: str, container: str, seconds: int) -> bytes:
        return self.words


def made(api: ApiInMemory, kind: str, name: str, spec: Json) -> str:
    metadata = {"name": name, "namespace": "default"}
    body = {"apiVersion": "fedwright.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
    return str(api.create(OURS[kind], body)["metadata"]["uid"])


def rollout(api: ApiInMemory, core: Core, rounds: int) -> str:
    """A deployment's uid; its one work runs in a pod."""
    group = {"name": "ward", "nodes": 2, "data": {"path": "/data"}}
    made(api, Federation.__name__, "hospital", {"groups": [group]})
    api.edit(OURS[Federation.__name__], "default", "hospital", lambda body: {**body, "status": {"phase": "Ready"}})
    artifacts: Any = ClusterArtifacts(api)  # type: ignore[arg-type]
    spec = {"federation": "hospital", "package": artifacts.write("default", b"app", OWNER), "rounds": rounds}
    uid = made(api, Deployment.__name__, "digits", spec)
    core.run(uid)
    (job,) = api.list(JOB, "default")
    template = job["spec"]["template"]
    statuses = [{"name": one["name"], "state": running()} for one in template["spec"]["initContainers"]]
    metadata = {
        "name": f"{job['metadata']['name']}-abcde",
        "namespace": "default",
        "labels": template["metadata"]["labels"],
    }
    status = {"phase": "Pending", "initContainerStatuses": statuses}
    api.create(
        POD, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"], "status": status}
    )
    return uid


def status(api: ApiInMemory) -> Json:
    return dict(api.get(OURS[Deployment.__name__], "default", "digits")["status"])


def test_a_deployment_counts_rounds_while_it_runs_and_goes_back_for_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.0)
    api = Talking()
    core = Core(api, PLANNERS)
    uid = rollout(api, core, rounds=5)
    counted = []
    for words in (
        b"",
        b'{"round": 2, "accuracy": 0.5}',
        b"run 7 finished: lost",
        b'{"round": 1}',
        b'{"round": 1e400}',
        b'{"round": 3}',
    ):
        api.words = words
        core.run(uid)
        counted.append(status(api)["round"])
    assert counted == [0, 2, 2, 2, 2, 3]
    assert status(api)["conditions"][0]["message"] == "round 3 of 5"


def test_the_next_pass_is_as_soon_as_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK_SECONDS", 1.0)
    api = Talking()
    core = Core(api, PLANNERS)
    uid = rollout(api, core, rounds=5)
    due = core.passes.run(uid)
    assert due is not None and 0.0 < due <= 1.0


def test_an_aborted_deployment_takes_its_job_away() -> None:
    api = Talking()
    core = Core(api, PLANNERS)
    uid = rollout(api, core, rounds=5)
    aborted = {"abort": True}
    api.edit(OURS[Deployment.__name__], "default", "digits", lambda body: {**body, "spec": {**body["spec"], **aborted}})
    core.run(uid)
    assert status(api)["phase"] == "Failed" and api.list(JOB, "default") == []
