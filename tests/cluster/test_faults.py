"""What goes wrong on a cluster while requests run: nothing is lost, nothing is done twice, and the winner is the same.

Some of it is done to the machine below the cluster, so those tests run where devcluster started it.
"""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_operator import upgrade
from cluster_requests import apply, counted, ended, held_up, manifest, request, results, until
from kubectl import Kubectl
from whole_requests import run

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(2400)]

Json = dict[str, Any]

NODES = ("node1", "node2")
LEASE_SECONDS = 20.0
"""Within which another operator leads."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Json:
    """What the request comes to where nothing goes wrong, on one machine: codes, scores and the winner."""
    folder = tmp_path_factory.mktemp("undisturbed")
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(manifest(deployment={"enabled": False})))
    done = run(file, folder / "home")
    assert done.returncode == 0, done.stdout + done.stderr
    resources = folder / "home" / "resources"
    found = json.loads((resources / "flstrategyrequests" / "default" / "tiny.json").read_text())
    candidates = [json.loads(one.read_text()) for one in (resources / "candidates").glob("*/*.json")]
    return outcome(found, candidates)


def outcome(found: Json, candidates: list[Json]) -> Json:
    status = found["status"]
    came_to = {
        one["metadata"]["name"]: [one["status"].get(key) for key in ("code", "score", "best", "final")]
        for one in candidates
    }
    return {"phase": status["phase"], "winner": status.get("winner"), "best": status.get("bestScore"), **came_to}


def outcome_in(space: Kubectl) -> Json:
    return outcome(request(space), space.get("flcand")["items"])


def holder(operator: Kubectl) -> str:
    """The pod of the operator that leads."""
    return str(operator.get("lease", "fedwright")["spec"].get("holderIdentity", "")).split("/")[0]


@contextmanager
def meanwhile(act: Callable[[], None], every: float) -> Iterator[None]:
    """Do it again and again in a thread; what it raises fails the test at the end."""
    done, problems = threading.Event(), list[Exception]()

    def loop() -> None:
        while not done.wait(every):
            try:
                act()
            except Exception as problem:
                problems.append(problem)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert not problems, problems


@pytest.mark.long
def test_leaders_that_are_killed_every_five_seconds_end_at_the_same_winner(
    operator: Kubectl, space: Kubectl, undisturbed: Json
) -> None:
    def kill() -> None:
        if leader := holder(operator):
            operator("delete", "pod", leader, "--force", "--grace-period=0", "--ignore-not-found")

    with counted(space) as starts, meanwhile(kill, every=5.0):
        apply(space, manifest(deployment={"enabled": False}))
        ended(space, seconds=1800)
    operator("rollout", "status", "deployment/fedwright", "--timeout=120s", seconds=130)
    assert outcome_in(space) == undisturbed
    assert set(Counter(starts).values()) == {1}, "a WorkId was started twice"
    assert starts.keys() == results(space).keys()


@pytest.mark.long
def test_a_request_outlives_a_paused_leader_an_api_server_that_is_away_a_lost_node_and_an_upgrade(
    operator: Kubectl, space: Kubectl, undisturbed: Json, devcluster: Callable[..., None]
) -> None:
    apply(space, manifest(deployment={"enabled": False}))
    until(lambda: len(results(space)) >= 4)
    _pause_the_leader(operator)
    done = len(results(space))
    until(lambda: len(results(space)) > done, seconds=120)
    devcluster("stop-api")
    time.sleep(30)
    devcluster("start-api")
    until(lambda: _more_than(space, done + 1), seconds=240)
    devcluster("stop-node", "2")
    try:
        until(lambda: _more_than(space, done + 4), seconds=300)
        operator("rollout", "restart", "deployment/fedwright")
    finally:
        devcluster("start-node", "2")
    ended(space, seconds=1800)
    assert outcome_in(space) == undisturbed


def _more_than(space: Kubectl, count: int) -> bool:
    try:
        return len(results(space)) > count
    except AssertionError:  # the API server is still coming up
        return False


def _pause_the_leader(operator: Kubectl) -> None:
    """Stop its process, see another lead within twenty seconds, wake it: it writes nothing and ends."""
    leader = holder(operator)
    process = _process_of(operator, leader)
    os.kill(process, signal.SIGSTOP)
    try:
        began = time.monotonic()
        until(lambda: holder(operator) not in {leader, ""}, seconds=LEASE_SECONDS + 5)
        assert time.monotonic() - began < LEASE_SECONDS
        status = operator.get("lease", "fedwright")["spec"]["holderIdentity"]
    finally:
        os.kill(process, signal.SIGCONT)
    until(lambda: not Path(f"/proc/{process}").exists(), seconds=30)
    assert operator.get("lease", "fedwright")["spec"]["holderIdentity"] == status


def _process_of(operator: Kubectl, pod: str) -> int:
    """On this machine, the first process of a pod's container."""
    uid = operator.get("pod", pod)["metadata"]["uid"]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, groups = (folder / "cmdline").read_bytes(), (folder / "cgroup").read_text()
        except OSError:
            continue
        if b"fedwright_operator.cluster" in words and uid in groups.replace("_", "-"):
            return int(folder.name)
    pytest.skip("the pods of this cluster are not processes of this machine")


def test_an_operator_that_is_killed_between_a_jobs_end_and_its_status_does_nothing_twice(
    operator: Kubectl, space: Kubectl, undisturbed: Json
) -> None:
    """All operators sleep while a Job ends, and are killed in their sleep; so nobody has seen its end before it is read."""
    with counted(space) as starts:
        apply(space, manifest(deployment={"enabled": False}))
        until(lambda: len(results(space)) >= 4)
        sleeping = [_process_of(operator, one["metadata"]["name"]) for one in _operators(operator)]
        for process in sleeping:
            os.kill(process, signal.SIGSTOP)
        known = results(space).keys()
        try:
            until(lambda: bool(_completed(space) - known), seconds=120)
        finally:
            for process in sleeping:
                os.kill(process, signal.SIGKILL)
        ended(space)
    assert outcome_in(space) == undisturbed
    assert set(Counter(starts).values()) == {1}, "a WorkId was started twice"


@pytest.mark.long
def test_a_node_that_is_cut_off_and_joined_again_changes_nothing(
    operator: Kubectl, space: Kubectl, undisturbed: Json, devcluster: Callable[..., None]
) -> None:
    """What runs on it meanwhile runs on and is not believed; its works are tried again elsewhere."""
    apply(space, manifest(deployment={"enabled": False}))
    until(lambda: any(one["spec"].get("nodeName") == "node2" for one in space.get("pods")["items"]))
    devcluster("cut-node", "2")
    try:
        done = len(results(space))
        until(lambda: _more_than(space, done + 3), seconds=300)
    finally:
        devcluster("join-node", "2")
    ended(space)
    assert outcome_in(space) == undisturbed


def _operators(operator: Kubectl) -> list[Json]:
    return list(operator.get("pods", "-l", "app.kubernetes.io/component=operator")["items"])


def _completed(space: Kubectl) -> set[str]:
    """Ids of works whose Jobs are complete."""
    jobs = space.get("jobs")["items"]
    return {one["metadata"]["labels"]["fedwright.dev/work"] for one in jobs if one.get("status", {}).get("succeeded")}


def test_a_request_that_is_deleted_in_mid_run_leaves_nothing(operator: Kubectl, space: Kubectl) -> None:
    apply(space, manifest())
    until(lambda: len(results(space)) >= 3)
    space("delete", "flsr", "tiny", "--wait=true")
    until(lambda: not space.get("flcand,jobs,pods,secrets")["items"], seconds=120)
    until(lambda: {one["metadata"]["name"] for one in space.get("cm")["items"]} == {"kube-root-ca.crt"}, seconds=120)


def test_an_image_that_cannot_be_pulled_is_waited_for_and_said(operator: Kubectl, space: Kubectl) -> None:
    """The chart is told a judge that no node has; the request says so, and goes on once it is right again."""
    upgrade(operator, "--set", "images.judge.tag=none")
    try:
        apply(space, manifest())
        until(lambda: held_up(space) in {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"}, seconds=120)
        space("delete", "flsr", "tiny", "--wait=true")
    finally:
        upgrade(operator)
