"""Requests on a cluster whose planner, coder and debugger are language models: behind the gateway, which alone has the key.

The models are a script behind HTTP, in a pod. The operator's release is given a gateway for these tests, and is put back afterwards.
One request to its end serves most of them; the others go on from what it taught.
"""

import base64
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cluster_requests import TINY, apply, ended, manifest, request, until
from helm import CHARTS, Helm, program
from kubectl import Kubectl
from provider_pod import PORT, ProviderPod

from fedwright_crds.base import digest_of
from fedwright_operator.cluster.lessons import KEY as LINES
from fedwright_operator.cluster.lessons import NAME as LESSONS

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

Json = dict[str, Any]

KEY = "sk-sentinel-5f1d0a7c9e8b3d42"
SECRET, VARIABLE = "test-model-keys", "SENTINEL_KEY"
GATEWAY = "fedwright-gateway"
BUDGET = 400_000
BY_MODEL: Json = {
    "minds": dict.fromkeys(["planner", "coder", "debugger"], "scripted"),
    "budgets": {"tokens": BUDGET, "wallSeconds": 7200},
    "search": {**TINY["search"], "catalogueMethods": 0, "planCandidates": 1},
    "deployment": {"enabled": False},
}
"""FedAvg and one candidate that the model writes, with a slip in it that it has to mend."""
TITLE = "Own control variates"
EVERYTHING = "pods,configmaps,events,jobs,statefulsets,deployments,flsr,flcand,flfed,fldep"


def namespace(like: Kubectl, tag: str) -> Kubectl:
    made = Kubectl(like.config, like.programs, namespace=f"{like.namespace[:40]}-{tag}-{os.urandom(3).hex()}")
    made("create", "namespace", made.namespace)
    made("label", "namespace", made.namespace, "pod-security.kubernetes.io/enforce=restricted")
    return made


@pytest.fixture(scope="module")
def provider(operator: Kubectl) -> Iterator[ProviderPod]:
    found = ProviderPod(namespace(operator, "provider"))
    try:
        found.start(f"docker.io/fedwright/mind:{os.environ.get('FEDWRIGHT_TAG', 'dev')}", KEY)
        yield found
    finally:
        found.kubectl.stop_using()


@pytest.fixture(scope="module")
def gateway(operator: Kubectl, provider: ProviderPod) -> Iterator[None]:
    """The release with a gateway; as it was afterwards."""
    path = program()
    assert path, "there is no helm; put helm 4 on the path"
    helm, where = Helm(path, operator.config), ("--namespace", operator.namespace)
    before = json.loads(helm("history", "fedwright", *where, "--max", "1", "-o", "json"))[-1]["revision"]
    operator("create", "secret", "generic", SECRET, f"--from-literal={VARIABLE}={KEY}")
    try:
        helm("upgrade", "fedwright", CHARTS / "fedwright", *where, "--reuse-values", values=models(provider))
        operator("rollout", "status", f"statefulset/{GATEWAY}", "--timeout=240s", seconds=250)
        operator("rollout", "status", "deployment/fedwright", "--timeout=120s", seconds=130)
        yield
    finally:
        helm("rollback", "fedwright", before, *where)
        operator("delete", "secret", SECRET, "--ignore-not-found")
        operator("rollout", "status", "deployment/fedwright", "--timeout=120s", seconds=130)
        until(lambda: not operator.get("sts,pvc", "-l", "app.kubernetes.io/component=gateway")["items"])


def models(provider: ProviderPod) -> Json:
    profile = {"name": "scripted", "model": "openai/scripted", "apiBase": provider.url, "timeoutSeconds": 60}
    return {
        "models": {
            "enabled": True,
            "profiles": [{**profile, "key": {"environment": VARIABLE}}],
            "keysSecret": SECRET,
            "egressPorts": [PORT],
            "storage": {"size": "64Mi", "keep": False},
        }
    }


@dataclass(frozen=True)
class Run:
    """A request that has ended, and what the provider was asked for it."""

    space: Kubectl
    request: Json
    calls: list[Json]

    @property
    def title(self) -> str:
        return str(self.space.get("flcand", self.request["status"]["winner"])["spec"]["title"])

    @property
    def spent(self) -> Json:
        """As the report is told it."""
        name = self.request["metadata"]["name"]
        found = [one for one in documents(self.space) if {"spent", "judgedOn"} <= one.keys() and one["request"] == name]
        assert len(found) == 1, "the report was made from more than one bill"
        return dict(found[0]["spent"])


@pytest.fixture(scope="module")
def first(operator: Kubectl, provider: ProviderPod, gateway: None) -> Iterator[Run]:
    space = namespace(operator, "team")
    try:
        apply(space, manifest("first", **BY_MODEL))
        yield Run(space, ended(space, "first"), provider.calls())
    finally:
        space.stop_using()


def artifacts(space: Kubectl) -> dict[str, bytes]:
    """By digest, put together from their pieces."""
    pieces: defaultdict[str, dict[int, bytes]] = defaultdict(dict)
    for one in space.get("cm", "-l", "fedwright.dev/role=artifact")["items"]:
        _, plain, number = one["metadata"]["name"].split("-")
        pieces[f"sha256:{plain}"][int(number)] = base64.b64decode(one["binaryData"]["data"])
    return {digest: b"".join(data for _, data in sorted(parts.items())) for digest, parts in pieces.items()}


def documents(space: Kubectl) -> list[Json]:
    found = []
    for data in artifacts(space).values():
        try:
            said = json.loads(data)
        except ValueError:
            continue
        found += [said] if isinstance(said, dict) else []
    return found


def lessons(space: Kubectl) -> bytes:
    return str(space.get("cm", LESSONS)["data"][LINES]).encode()


def planned(space: Kubectl, name: str) -> bool:
    conditions = request(space, name).get("status", {}).get("conditions", ())
    return any(one["type"] == "Planned" and one["status"] == "True" for one in conditions)


# -- a request by models --------------------------------------------------------------------------
def test_models_plan_write_and_mend_what_wins(first: Run) -> None:
    assert first.request["status"]["phase"] == "Succeeded", first.request["status"]["conditions"]
    assert first.title == TITLE
    assert {one["role"] for one in first.calls} == {"plan", "code", "debug"}
    assert all(one["rightKey"] for one in first.calls)


def test_the_report_says_what_each_role_cost_as_the_gateway_charged_it(first: Run) -> None:
    roles = {one["role"]: one for one in first.spent["roles"]}
    assert roles.keys() == {"plan", "code", "debug"}
    assert first.spent["calls"] == sum(one["calls"] for one in roles.values()) == len(first.calls)
    assert 0 < first.spent["tokens"] == sum(one["tokens"] for one in roles.values()) <= BUDGET
    page = artifacts(first.space)[first.request["status"]["report"]].decode()
    assert "Models, by role" in page and "Debugger" in page


def test_the_key_is_the_gateways_alone(operator: Kubectl, provider: ProviderPod, first: Run) -> None:
    for body in operator.get(EVERYTHING, "-A")["items"]:
        assert_without_the_key(body)
    named = {
        one["metadata"]["name"] for one in operator.get("pods", "-A")["items"] if SECRET in json.dumps(one["spec"])
    }
    assert named == {f"{GATEWAY}-0"}
    holders = {
        (one["metadata"]["namespace"], one["metadata"]["name"])
        for one in operator.get("secrets", "-A")["items"]
        if any(KEY.encode() in base64.b64decode(value) for value in (one.get("data") or {}).values())
    }
    assert holders == {(operator.namespace, SECRET)}
    for kubectl in (operator, provider.kubectl):
        for pod in kubectl.get("pods")["items"]:
            assert KEY not in kubectl("logs", pod["metadata"]["name"], "--all-containers")


def assert_without_the_key(body: Json) -> None:
    name = f"{body['kind']} {body['metadata']['namespace']}/{body['metadata']['name']}"
    assert KEY not in json.dumps(body), name
    for value in (body.get("binaryData") or {}).values():
        assert KEY.encode() not in base64.b64decode(value), name


# -- what it taught, and a gateway that goes ------------------------------------------------------
def test_a_gateway_that_is_deleted_by_force_in_mid_call_loses_no_request_and_the_first_ones_lessons_are_searched(
    operator: Kubectl, provider: ProviderPod, first: Run
) -> None:
    space, known, before = first.space, lessons(first.space), len(provider.calls())
    assert known.count(b'"request":"first"') >= 2
    assert "ownerReferences" not in space.get("cm", LESSONS)["metadata"]
    apply(space, manifest("second", **BY_MODEL))
    until(lambda: len(provider.calls()) > before and provider.is_asked(), seconds=300, pause=0.2)
    _the_mind_sees_no_key(space)
    killed = operator.get("pod", f"{GATEWAY}-0")["metadata"]["uid"]
    operator("delete", "pod", f"{GATEWAY}-0", "--force", "--grace-period=0")
    found = ended(space, "second")
    second = Run(space, found, provider.calls()[before:])
    assert operator.get("pod", f"{GATEWAY}-0")["metadata"]["uid"] != killed

    assert found["status"]["phase"] == "Succeeded", found["status"]["conditions"]
    assert second.title == TITLE
    asked = [[one["role"] for one in run.calls].count("plan") for run in (first, second)]
    assert asked[1] == asked[0] + 1, "the call that was cut off was asked again, and no other"
    assert second.spent["calls"] == len(second.calls), "each was charged once"
    assert second.spent["tokens"] <= BUDGET

    assert found["status"]["lessons"] == digest_of(known)
    assert artifacts(space)[digest_of(known)] == known
    assert {"first"} in [set(one["lessonsOf"]) for one in second.calls], "the planner was told none of them"
    assert b'"request":"second"' in lessons(space)


def _the_mind_sees_no_key(space: Kubectl) -> None:
    minds = space.get("pods", "-l", "fedwright.dev/network=model")["items"]
    assert minds, "no mind runs while the provider is asked"
    for pod in minds:
        assert_without_the_key({"kind": "Pod", **pod})
        assert SECRET not in json.dumps(pod["spec"])


def test_another_namespace_learns_nothing_of_it(provider: ProviderPod, first: Run, space: Kubectl) -> None:
    before = len(provider.calls())
    apply(space, manifest("other", **BY_MODEL))
    until(lambda: planned(space, "other"), seconds=300)
    asked = [one for one in provider.calls()[before:] if one["role"] == "plan"]
    assert asked and not any(one["lessonsOf"] for one in asked)
    assert "lessons" not in request(space, "other")["status"]
    assert LESSONS not in space("get", "cm", "-o", "name")


def test_lessons_that_are_deleted_stay_away_when_another_operator_leads(operator: Kubectl, first: Run) -> None:
    """As operations.md says how to empty them: what has ended teaches nothing again."""
    first.space("delete", "cm", LESSONS)
    operator("rollout", "restart", "deployment/fedwright")
    operator("rollout", "status", "deployment/fedwright", "--timeout=120s", seconds=130)
    until(lambda: bool(operator.get("lease", "fedwright")["spec"].get("holderIdentity")))
    apply(first.space, manifest("third", minds={}, budgets={"wallSeconds": 7200}, search=BY_MODEL["search"]))
    until(lambda: bool(request(first.space, "third").get("status", {}).get("phase")), seconds=120)
    first.space("delete", "flsr", "third")
    assert LESSONS not in first.space("get", "cm", "-o", "name")
