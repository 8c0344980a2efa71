"""The store of large outputs on a cluster: one that cannot be is said at the start and costs nothing that runs; one on a volume serves."""

import json
from typing import Any

import pytest
from cluster_operator import upgrade
from cluster_requests import apply, ended, manifest, until
from kubectl import Kubectl

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

Json = dict[str, Any]

NONE = ("--set", "artifacts.url=", "--set-json", "extraVolumes=[]", "--set-json", "extraVolumeMounts=[]")
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "objects"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}},
}
VOLUME = [{"name": "objects", "persistentVolumeClaim": {"claimName": "objects"}}]
MOUNT = [{"name": "objects", "mountPath": "/objects"}]


def said(operator: Kubectl) -> str:
    """By operators that have ended, in their last lives."""
    pods = operator.get("pods", "-l", "app.kubernetes.io/component=operator")["items"]
    names = [one["metadata"]["name"] for one in pods if _restarted(one)]
    return "".join(operator("logs", name, "-c", "operator", "--previous") for name in names)


def _restarted(pod: Json) -> bool:
    return any(one["restartCount"] for one in pod["status"].get("containerStatuses", ()))


def lying(operator: Kubectl) -> list[str]:
    """Files of the store, as the operator sees them."""
    look = "from pathlib import Path; print(*(one for one in Path('/objects').rglob('*') if one.is_file()))"
    return operator("exec", "deploy/fedwright", "--", "python", "-c", look).split()


def test_a_store_that_is_not_there_is_said_by_the_new_operator_while_the_old_one_serves(
    operator: Kubectl, space: Kubectl
) -> None:
    upgrade(operator, "--set", "artifacts.url=file:///no/such/folder", wait=False)
    try:
        until(lambda: "artifacts.url: the store refuses (No such folder)" in said(operator), seconds=120)
        apply(space, manifest())
        assert ended(space)["status"]["phase"] in {"Succeeded", "NoImprovement"}
    finally:
        upgrade(operator, *NONE)


def test_with_a_store_on_a_volume_a_request_ends_and_the_collector_claims_the_store(
    operator: Kubectl, space: Kubectl
) -> None:
    operator("apply", "-f", "-", document=CLAIM)
    given = ("extraVolumes", VOLUME), ("extraVolumeMounts", MOUNT)
    volumes = [word for name, value in given for word in ("--set-json", f"{name}={json.dumps(value)}")]
    try:
        upgrade(operator, "--set", "replicas=1", "--set", "artifacts.url=file:///objects", *volumes)
        apply(space, manifest())
        assert ended(space)["status"]["phase"] in {"Succeeded", "NoImprovement"}
        until(lambda: "/objects/_owner" in lying(operator), seconds=60)
        records = space.get("cm", "-l", "fedwright.dev/stored")["items"]
        assert len(lying(operator)) == 1 + len(records)
    finally:
        upgrade(operator, "--set", "replicas=2", *NONE)
        operator("delete", "pvc", "objects", "--wait=false")
