"""The CRDs before a real API server: it takes them, refuses what the models refuse, and keeps what must not change."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubectl import Kubectl
from wrong_requests import GOOD, WRONG, Wrong, with_field

from fedwright_crds.__main__ import FOLDER
from fedwright_crds.base import canonical
from fedwright_crds.manifests import load_manifests
from fedwright_crds.request import FLStrategyRequest

Document = dict[str, Any]

FILES = sorted(FOLDER.glob("*.yaml"))
DIGEST = "sha256:" + "d" * 64
EXAMPLE = Path(__file__).parents[2] / "examples/digits-noniid.yaml"


@pytest.fixture(scope="module")
def cluster(kubectl: Kubectl) -> Kubectl:
    """With the CRDs applied and a namespace to try them in."""
    files = [word for file in FILES for word in ("-f", file)]
    kubectl("apply", "--server-side", "--force-conflicts", *files)
    kubectl("wait", "--for=condition=Established", *files, "--timeout=30s")
    kubectl("create", "namespace", kubectl.namespace)
    return kubectl


def test_the_server_takes_the_definitions_applied_either_way(cluster: Kubectl) -> None:
    for file in FILES:
        cluster("apply", "--dry-run=server", "-f", file)
        conditions = {one["type"]: one["status"] for one in cluster.get("-f", file)["status"]["conditions"]}
        assert conditions["Established"] == conditions["NamesAccepted"] == "True"
        assert conditions.get("NonStructuralSchema", "False") == "False"


def test_a_request_comes_back_as_the_models_read_it(cluster: Kubectl) -> None:
    cluster("apply", "-f", EXAMPLE)
    found = cluster.get("flsr", "digits-noniid")
    (local,) = load_manifests(EXAMPLE)
    assert isinstance(local, FLStrategyRequest)
    spec = type(local.spec).model_validate_json(canonical(found["spec"]))
    assert spec == local.spec
    assert found["spec"] == local.spec.to_wire(), "defaults of the server are those of the models"
    assert "status" not in found


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_the_server_refuses_what_the_models_refuse_and_names_the_field(cluster: Kubectl, wrong: Wrong) -> None:
    said = cluster.refused("create", "--dry-run=server", "-f", "-", document=wrong.document)
    assert wrong.cluster in said


def test_null_is_as_absent_as_for_the_models(cluster: Kubectl) -> None:
    text = yaml.safe_dump(GOOD | {"spec": GOOD["spec"] | {"privacy": None, "model": None}})
    assert load_manifests(text)
    cluster("create", "--dry-run=server", "-f", "-", document=yaml.safe_load(text))


def applied(cluster: Kubectl, document: Document, status: Document | None = None) -> Document:
    """A resource on the cluster, its status as the operator writes it."""
    cluster("apply", "-f", "-", document=document)
    kind, name = document["kind"], document["metadata"]["name"]
    words = {"FLStrategyRequest": "flsr", "Candidate": "flcand", "Federation": "flfed", "Deployment": "fldep"}
    if status:
        patch = canonical({"status": status}).decode()
        cluster("patch", words[kind], name, "--subresource=status", "--type=merge", "-p", patch)
    return cluster.get(words[kind], name)


def named(document: Document, name: str) -> Document:
    return with_field(document, "metadata.name", name)


def test_a_person_cannot_write_a_status_nor_the_operator_a_spec_with_it(cluster: Kubectl) -> None:
    document = named(GOOD, "isolated")
    found = applied(
        cluster, {**document, "status": {"phase": "Succeeded"}}, {"phase": "Planning", "frozenSpec": DIGEST}
    )
    assert found["status"]["phase"] == "Planning"
    cluster("apply", "-f", "-", document={**document, "status": {"phase": "Succeeded"}})
    patch = canonical({"spec": {"abort": True}, "status": {"generation": 1}}).decode()
    cluster("patch", "flsr", "isolated", "--subresource=status", "--type=merge", "-p", patch)
    after = cluster.get("flsr", "isolated")
    assert (after["status"]["phase"], after["status"]["generation"], after["spec"]["abort"]) == ("Planning", 1, False)


ANSWER = {"question": "priority", "answer": "bytes"}
WORD = {"stage": "Plan", "digest": DIGEST, "approved": False}
PLANNED = {"phase": "Planning", "frozenSpec": DIGEST}


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("spec.goal", "Something else.", "spec.goal"),
        ("spec.task.clients", 30, "spec.task"),
        ("spec.privacy", {"epsilon": 1, "delta": 1e-5}, "spec.privacy"),
        ("spec.constraints", [{"metric": "Loss", "margin": 1}], "spec.constraints"),
        ("spec.search", {"trials": 7}, "spec.search"),
        ("spec.interaction", {"plan": "Automatic"}, "spec.interaction"),
        ("spec.budgets", {"wallSeconds": 60}, "spec.budgets.wallSeconds"),
        ("spec.answers", [], "spec.answers"),
        ("spec.approvals", [], "spec.approvals"),
    ],
)
def test_once_planned_only_intent_changes(cluster: Kubectl, path: str, value: Any, field: str) -> None:
    document = named(GOOD, "frozen")
    document["spec"] |= {"answers": [ANSWER], "approvals": [WORD]}
    applied(cluster, document, PLANNED)
    said = cluster.refused("apply", "-f", "-", document=with_field(document, path, value))
    assert f"{field}: Invalid value" in said and "once planning has begun" in said


def test_once_planned_intent_changes_freely(cluster: Kubectl) -> None:
    document = named(GOOD, "free")
    document["spec"] |= {"answers": [ANSWER], "approvals": [WORD]}
    applied(cluster, document, PLANNED)
    more = deepcopy(document)
    more["spec"] |= {
        "answers": [{"question": "other", "answer": "yes"}, ANSWER],
        "approvals": [{**WORD, "approved": True}, {**WORD, "stage": "Promotion"}],
        "abort": True,
        "retryToken": "again",
        "budgets": {"wallSeconds": 7200, "tokens": 1},
    }
    assert applied(cluster, more)["spec"]["retryToken"] == "again"


def test_before_planning_all_may_change(cluster: Kubectl) -> None:
    document = named(GOOD, "early")
    applied(cluster, document, {"phase": "Pending"})
    assert applied(cluster, with_field(document, "spec.task.clients", 30))["spec"]["task"]["clients"] == 30


CANDIDATE: Document = {
    "apiVersion": "fedwright.dev/v1alpha1",
    "kind": "Candidate",
    "metadata": {"name": "good-1"},
    "spec": {"request": "good", "origin": "Plan", "method": "scaffold", "title": "SCAFFOLD", "hypothesis": "Drift."},
}


def granted(stage: str, **spec: Any) -> Document:
    return {**CANDIDATE, "spec": {**CANDIDATE["spec"], **spec, "grant": {"stage": stage}}}


def test_a_candidate_changes_by_grants_that_grow_or_stop(cluster: Kubectl) -> None:
    applied(cluster, granted("Explore"))
    applied(cluster, granted("Judge"))
    assert "spec.grant.stage" in cluster.refused("apply", "-f", "-", document=granted("Explore"))
    for change in ({"method": "fedavg"}, {"fixed": {"lr": 0.1}}, {"parent": "good-0"}, {"salt": 3}):
        (field,) = change
        assert f"spec.{field}: Invalid value" in cluster.refused(
            "apply", "-f", "-", document=granted("Judge", **change)
        )
    assert applied(cluster, granted("Stop"))["spec"]["grant"]["stage"] == "Stop"
    assert "spec.grant.stage" in cluster.refused("apply", "-f", "-", document=granted("Final"))


def test_a_deployment_can_be_aborted_and_retried_and_nothing_else(cluster: Kubectl) -> None:
    deployment = {
        "apiVersion": "fedwright.dev/v1alpha1",
        "kind": "Deployment",
        "metadata": {"name": "good"},
        "spec": {"federation": "lab", "package": DIGEST},
    }
    applied(cluster, deployment)
    for path, value in (("federation", "other"), ("package", "sha256:" + "e" * 64), ("rounds", 9)):
        changed = with_field(deployment, f"spec.{path}", value)
        assert f"spec.{path}: Invalid value" in cluster.refused("apply", "-f", "-", document=changed)
    assert applied(cluster, with_field(deployment, "spec.abort", True))["spec"]["abort"] is True


def test_a_node_has_one_source_of_data_and_a_group_a_name_of_its_own(cluster: Kubectl) -> None:
    def federation(*groups: Document) -> Document:
        meta = {"apiVersion": "fedwright.dev/v1alpha1", "kind": "Federation", "metadata": {"name": "lab"}}
        return {**meta, "spec": {"groups": groups}}

    edge = {"name": "edge", "nodes": 2, "data": {"path": "/data/own.npz"}}
    applied(cluster, federation(edge, {**edge, "name": "gpu"}))
    both = {**edge, "data": {"path": "/data/own.npz", "entryPoint": "mine:load"}}
    for wrong, words in ((both, "exactly one of path, entryPoint and task"), ({**edge, "data": {}}, "exactly one of")):
        assert words in cluster.refused("apply", "-f", "-", document=federation(wrong))
    assert "Duplicate value" in cluster.refused("apply", "-f", "-", document=federation(edge, edge))


def test_columns_say_how_far_it_has_come(cluster: Kubectl) -> None:
    status = {
        **PLANNED,
        "phase": "Selecting",
        "candidates": 7,
        "candidatesFinished": 5,
        "bestScore": 0.875,
        "winner": "scaffold-2",
    }
    paused = {"type": "Paused", "status": "True", "reason": "Approval", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    applied(cluster, named(GOOD, "columns"), {**status, "conditions": [paused]})
    heading, row = cluster("get", "flsr", "columns").splitlines()
    assert heading.split() == ["NAME", "PHASE", "CANDIDATES", "JUDGED", "BEST", "WINNER", "AGE"]
    assert row.split()[:-1] == ["columns", "Selecting", "7", "5", "0.875", "scaffold-2"]
    wide = cluster("get", "flsr", "columns", "-o", "wide").splitlines()
    assert "PAUSED" in wide[0] and "Approval" in wide[1]
    assert "columns" in cluster("get", "fedwright", "-o", "name")
    assert cluster.refused("get", "deployments.fedwright.dev")
