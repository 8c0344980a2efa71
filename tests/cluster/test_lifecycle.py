"""A request on a cluster from `kubectl apply` to its end: the same way as on one machine, and nothing stays behind."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_requests import TINY, apply, counted, ended, held_up, manifest, request, results, until
from kubectl import Kubectl
from whole_requests import result, run

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

Json = dict[str, Any]

ROLLED_OUT = {"deployment": {"nodes": 2, "rounds": 3}}
LEFT_BY_THE_CLUSTER = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
KEPT = {"ConfigMap/fedwright-lessons", "NetworkPolicy/fedwright-boxes"}  # for the namespace's next request
EVERYTHING = (
    "flsr,flcand,flfed,fldep,jobs,pods,configmaps,secrets,statefulsets,services,pvc,networkpolicies,serviceaccounts"
)


def statuses(home: Path) -> dict[str, Json]:
    """Of the candidates that one machine's run left."""
    files = (home / "resources" / "candidates").glob("*/*.json")
    return {one["metadata"]["name"]: one["status"] for one in map(json.loads, (file.read_text() for file in files))}


def what_counts(status: Json) -> Json:
    """What a candidate came to; works of other images have other ids, so digests that hold ids are left out."""
    return {key: status.get(key) for key in ("phase", "code", "best", "final", "score", "firstRungScores", "federated")}


def left(space: Kubectl) -> set[str]:
    found = space.get(EVERYTHING)["items"]
    return {f"{one['kind']}/{one['metadata']['name']}" for one in found} - LEFT_BY_THE_CLUSTER


def test_a_request_goes_the_same_way_as_on_one_machine_and_is_rolled_out(
    operator: Kubectl, space: Kubectl, tmp_path: Path
) -> None:
    """Same candidates, same scores to the last digit, same winner by digest; each work once; a rollout on real nodes."""
    with counted(space) as starts:
        apply(space, manifest(**ROLLED_OUT))
        there = ended(space)
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(manifest(deployment={"enabled": False})))
    here = run(file, tmp_path / "home")
    assert here.returncode == 0, here.stdout + here.stderr

    assert there["status"]["phase"] == "Succeeded", there["status"]["conditions"]
    assert there["status"]["winner"] == result(tmp_path / "home")["winner"]["candidate"]
    candidates = {one["metadata"]["name"]: one["status"] for one in space.get("flcand")["items"]}
    assert {name: what_counts(one) for name, one in candidates.items()} == {
        name: what_counts(one) for name, one in statuses(tmp_path / "home").items()
    }
    assert set(Counter(starts).values()) == {1}, "a WorkId was started twice"
    assert starts.keys() == results(space).keys()

    deployment = space.get("fldep", "tiny")
    assert deployment["status"]["phase"] == "Succeeded"
    assert deployment["status"]["round"] == 3
    assert deployment["status"]["model"].startswith("sha256:")

    _the_rollout_survives_its_request(space)
    _nothing_is_left(space)


def _the_rollout_survives_its_request(space: Kubectl) -> None:
    ours = f"fedwright.dev/root={request(space)['metadata']['uid']}"
    space("delete", "flsr", "tiny", "--wait=true")
    until(lambda: not space.get("flcand")["items"] + space.get("jobs,pods", "-l", ours)["items"])
    deployment = space.get("fldep", "tiny")
    assert deployment["status"]["phase"] == "Succeeded"
    package = deployment["spec"]["package"].removeprefix("sha256:")
    assert space.get("cm", f"a-{package}-0"), "the package of a rollout was collected with the request"


def _nothing_is_left(space: Kubectl) -> None:
    space("delete", "fldep,flfed", "--all", "--wait=true")
    policies = {f"NetworkPolicy/{one['metadata']['name']}" for one in space.get("networkpolicies")["items"]}
    until(lambda: left(space) <= policies | KEPT)


def test_a_request_waits_for_a_person_at_each_pause(operator: Kubectl, space: Kubectl) -> None:
    """`kubectl wait` sees the pause, a patch of intent goes on, a refusal ends it."""
    apply(space, manifest(interaction={"questions": "Automatic", "plan": "Required", "promotion": "Automatic"}))
    space("wait", "flsr/tiny", "--for=condition=Paused", "--timeout=120s", seconds=130)
    found = request(space)
    assert found["status"]["phase"] == "AwaitingApproval"
    word = {"stage": "Plan", "digest": found["status"]["plan"], "approved": False}
    space("patch", "flsr", "tiny", "--type=merge", "-p", json.dumps({"spec": {"approvals": [word]}}))
    assert ended(space, seconds=120)["status"]["phase"] == "Failed"


def test_a_namespace_goes_in_mid_request(operator: Kubectl, space: Kubectl) -> None:
    apply(space, manifest())
    until(lambda: bool(space.get("jobs")["items"]))
    began = time.monotonic()
    space("delete", "namespace", space.namespace, "--wait=true", seconds=120)
    assert time.monotonic() - began < 90


@pytest.mark.long
def test_two_requests_of_one_name_do_not_meet_and_a_quota_of_one_pod_is_waited_for(
    operator: Kubectl, space: Kubectl
) -> None:
    other = Kubectl(space.config, space.programs)
    other("create", "namespace", other.namespace)
    other("create", "quota", "narrow", "--hard=pods=1")
    try:
        apply(space, manifest(judging={**TINY["judging"], "seed": 1}))
        apply(other, manifest(judging={**TINY["judging"], "seed": 2}, search={**TINY["search"], "parallel": 4}))
        until(lambda: held_up(other) == "QuotaExceeded", seconds=300)
        first, second = ended(space), ended(other)
        outcomes = {one["outcome"] for one in results(other).values()}
    finally:
        other.stop_using()
    assert first["status"]["phase"] in {"Succeeded", "NoImprovement"}
    assert second["status"]["phase"] in {"Succeeded", "NoImprovement"}
    assert first["status"]["decision"] != second["status"]["decision"]
    assert outcomes == {"Succeeded"}, "what waited for room has failed"
