"""The operator's chart on a real cluster: what it installs is taken, guards approvals, and leaves what it should.

The operator itself does not run here; its image is one that no node has.
"""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm import CHARTS, DEVCLUSTER, Helm, program
from kubectl import Kubectl
from wrong_requests import GOOD

pytestmark = pytest.mark.cluster

Json = dict[str, Any]

CHART = CHARTS / "fedwright"
KINDS = ("flstrategyrequests", "candidates", "federations", "fldeployments")
DEFINITIONS = tuple(f"crd/{kind}.fedwright.dev" for kind in KINDS)
OWNERS = ("meta.helm.sh/release-name", "meta.helm.sh/release-namespace", "helm.sh/resource-policy")
MADE = "deploy,sts,sa,cm,secret,svc,pdb,netpol,role,rolebinding,clusterrole,clusterrolebinding"
POLICIES = "validatingadmissionpolicy,validatingadmissionpolicybinding"
PROFILE = {"name": "fast", "model": "openai/some-model", "key": {"environment": "KEY"}}
MODELS: Json = {"models": {"enabled": True, "profiles": [PROFILE], "keysSecret": "keys"}}
DIGEST = "sha256:" + "d" * 64
WORD = {"stage": "Plan", "digest": DIGEST, "approved": True}


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    """With a namespace that enforces restricted pods."""
    config, programs = _cluster()
    kubectl = Kubectl(config, programs, namespace=f"fw-c-{secrets.token_hex(3)}")
    kubectl("create", "namespace", kubectl.namespace)
    kubectl("label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/enforce=restricted")
    yield kubectl
    kubectl.stop_using()


def _cluster() -> tuple[str, str]:
    """The kubeconfig of the cluster that is named, else of a devcluster that runs; where kubectl is."""
    if named := os.environ.get("KUBECONFIG"):
        return named, ""
    command = DEVCLUSTER / "devcluster"
    if not command.exists():
        pytest.skip("no cluster is named by KUBECONFIG and no devcluster lies beside the repository")
    said = subprocess.run([command, "env"], capture_output=True, text=True, check=True).stdout
    words = dict(word.split("=", 1) for word in said.removeprefix("export ").split())
    return words["KUBECONFIG"], words["PATH"].removesuffix(":$PATH")


@pytest.fixture(scope="module")
def helm(kubectl: Kubectl) -> Helm:
    path = program()
    assert path, "there is no helm; put helm 4 on the path"
    return Helm(path, kubectl.config)


@pytest.fixture(scope="module")
def definitions(kubectl: Kubectl) -> Iterator[None]:
    """Whose the definitions were before is put right afterwards: others may use this cluster."""
    before = {one["metadata"]["name"]: one["metadata"] for one in _definitions(kubectl)}
    yield
    for name in [one["metadata"]["name"] for one in _definitions(kubectl)]:
        known = before.get(name, {}).get("annotations", {})
        words = [f"{word}={known[word]}" if word in known else f"{word}-" for word in OWNERS]
        kubectl("annotate", "--overwrite", f"crd/{name}", *words)
        if name not in before:
            kubectl("label", f"crd/{name}", "app.kubernetes.io/managed-by-")


def _definitions(kubectl: Kubectl) -> list[Json]:
    return [one for one in kubectl.get("crd")["items"] if one["spec"]["group"] == "fedwright.dev"]


def values(kubectl: Kubectl, **more: Any) -> Json:
    """Of a release that serves its own namespace alone, and whose pods never start."""
    nowhere = {"repository": "localhost/nowhere", "tag": "none"}
    own = {
        "watchNamespaces": [kubectl.namespace],
        "replicas": 1,
        "pullPolicy": "Never",
        "images": {"operator": nowhere},
    }
    return own | more


@pytest.fixture(scope="module")
def release(kubectl: Kubectl, helm: Helm, definitions: None) -> Iterator[str]:
    """The chart, installed as `<its namespace>-fedwright`."""
    install(kubectl, helm, CHART)
    yield f"{kubectl.namespace}-fedwright"
    helm("uninstall", kubectl.namespace, "--namespace", kubectl.namespace, "--ignore-not-found")


def install(kubectl: Kubectl, helm: Helm, chart: Path, **more: Any) -> str:
    where = ("--namespace", kubectl.namespace)
    said = helm(
        *("upgrade", "--install", kubectl.namespace, chart, *where, "--take-ownership"), values=values(kubectl, **more)
    )
    kubectl("wait", "--for=condition=Established", *DEFINITIONS, "--timeout=30s")
    return said


@pytest.mark.parametrize("more", [{}, {"watchNamespaces": []}, MODELS], ids=["own namespace", "everywhere", "models"])
def test_the_server_takes_all_that_the_chart_makes(kubectl: Kubectl, helm: Helm, more: Json) -> None:
    words = ("--namespace", kubectl.namespace, "--take-ownership", "--dry-run=server")
    helm("install", "trial", CHART, *words, values=values(kubectl, **more))


# -- approvals ------------------------------------------------------------------------------------
AUTHOR, APPROVER = "--as=author", "--as=approver"


@pytest.fixture(scope="class")
def people(kubectl: Kubectl, release: str) -> Iterator[None]:
    """An author may edit, an approver approve; the operator's account is given both, which should not help it."""
    account = f"--serviceaccount={kubectl.namespace}:{release}"
    bindings = (
        ("author", "edit", "--user=author"),
        ("approver", f"{release}-approve", "--user=approver"),
        ("operator-edits", f"{release}-edit", account),
        ("operator-approves", f"{release}-approve", account),
    )
    for name, role, who in bindings:
        kubectl("create", "rolebinding", name, f"--clusterrole={role}", who)
    _until_policies_hold(kubectl)
    yield
    kubectl("delete", "rolebinding", *[name for name, _, _ in bindings])


def _until_policies_hold(kubectl: Kubectl) -> None:
    """The server reads a new policy, and a role that has become part of another, within a second or so."""
    document, said = request("early", approvals=[WORD]), ""
    for _ in range(60):
        with suppress(AssertionError):
            said = kubectl.refused("create", "--dry-run=server", "-f", "-", AUTHOR, document=document)
        if "may not approve" in said:
            return
    raise AssertionError(f"the policy does not hold: {said}")


def request(name: str, **spec: Any) -> Json:
    document = deepcopy(GOOD)
    document["metadata"]["name"] = name
    document["spec"] |= spec
    return document


def patched(spec: Json) -> tuple[str, ...]:
    return ("--type=merge", "-p", json.dumps({"spec": spec}))


@pytest.mark.usefixtures("people")
class TestApprovals:
    def test_an_author_writes_requests_and_all_of_their_intent_but_approvals(self, kubectl: Kubectl) -> None:
        kubectl("create", "-f", "-", AUTHOR, document=request("plain"))
        kubectl("patch", "flsr", "plain", AUTHOR, *patched({"budgets": {"wallSeconds": 7200}, "abort": True}))
        said = kubectl.refused("patch", "flsr", "plain", AUTHOR, *patched({"approvals": [WORD]}))
        assert "spec.approvals: author may not approve" in said and "-approve (verb approve" in said

    def test_an_approver_approves_and_the_author_goes_on_without_touching_it(self, kubectl: Kubectl) -> None:
        kubectl("create", "-f", "-", AUTHOR, document=request("asked"))
        kubectl("patch", "flsr", "asked", APPROVER, *patched({"approvals": [WORD]}))
        kubectl("patch", "flsr", "asked", AUTHOR, *patched({"retryToken": "again"}))
        for word in ([], [{**WORD, "approved": False}], [WORD, {**WORD, "stage": "Promotion"}]):
            assert "may not approve" in kubectl.refused("patch", "flsr", "asked", AUTHOR, *patched({"approvals": word}))
        assert kubectl.get("flsr", "asked")["spec"]["approvals"] == [{**WORD, "reason": ""}]

    def test_a_request_made_anew_brings_no_approval_with_it(self, kubectl: Kubectl) -> None:
        document = request("again", approvals=[WORD])
        assert "may not approve" in kubectl.refused("create", "-f", "-", AUTHOR, document=document)
        kubectl("create", "-f", "-", document=document)  # an administrator holds every verb

    def test_nor_does_one_without_a_name(self, kubectl: Kubectl) -> None:
        document = request("unnamed", approvals=[WORD])
        document["metadata"] = {"generateName": "unnamed-"}
        assert "may not approve" in kubectl.refused("create", "-f", "-", AUTHOR, document=document)

    @pytest.mark.parametrize("pause", ["plan", "promotion"])
    def test_automatic_is_an_approval_beforehand(self, kubectl: Kubectl, pause: str) -> None:
        document = request(f"automatic-{pause}", interaction={pause: "Automatic"})
        assert "spec.interaction" in kubectl.refused("create", "-f", "-", AUTHOR, document=document)
        kubectl("create", "-f", "-", AUTHOR, document=request(f"automatic-{pause}"))
        change = patched({"interaction": {pause: "Automatic"}})
        assert "spec.interaction" in kubectl.refused("patch", "flsr", f"automatic-{pause}", AUTHOR, *change)
        kubectl("patch", "flsr", f"automatic-{pause}", APPROVER, *change)
        kubectl("patch", "flsr", f"automatic-{pause}", AUTHOR, *patched({"abort": True}))
        kubectl(
            "create", "-f", "-", AUTHOR, document=request(f"answers-{pause}", interaction={"questions": "Automatic"})
        )

    def test_one_may_approve_a_single_request(self, kubectl: Kubectl) -> None:
        for name in ("mine", "theirs"):
            kubectl("create", "-f", "-", document=request(name))
        words = ("--verb=get,patch,approve", "--resource=flstrategyrequests.fedwright.dev", "--resource-name=mine")
        kubectl("create", "role", "one-request", *words)
        kubectl("create", "rolebinding", "one-request", "--role=one-request", "--user=author")
        kubectl("patch", "flsr", "mine", AUTHOR, *patched({"approvals": [WORD]}))
        assert "may not approve" in kubectl.refused("patch", "flsr", "theirs", AUTHOR, *patched({"approvals": [WORD]}))

    def test_the_operator_approves_nothing_whatever_it_may(self, kubectl: Kubectl, release: str) -> None:
        operator = f"--as=system:serviceaccount:{kubectl.namespace}:{release}"
        kubectl("create", "-f", "-", document=request("served"))
        for change in ({"approvals": [WORD]}, {"abort": True}, {"interaction": {"plan": "Automatic"}}):
            assert "requests are people's" in kubectl.refused("patch", "flsr", "served", operator, *patched(change))
        assert "requests are people's" in kubectl.refused("create", "-f", "-", operator, document=request("own"))
        found = {key: GOOD[key] for key in ("apiVersion", "kind")} | {"metadata": {"name": "served"}}
        words = ("--server-side", "--subresource=status", "-f", "-")
        kubectl("apply", *words, operator, document={**found, "status": {"phase": "Planning"}})
        assert kubectl.get("flsr", "served")["status"]["phase"] == "Planning"

    def test_who_edits_cannot_promote_by_hand(self, kubectl: Kubectl) -> None:
        deployment = {
            "apiVersion": "fedwright.dev/v1alpha1",
            "kind": "Deployment",
            "metadata": {"name": "by-hand"},
            "spec": {"federation": "fleet", "package": DIGEST},
        }
        assert "forbidden" in kubectl.refused("create", "-f", "-", AUTHOR, document=deployment)
        kubectl("create", "-f", "-", APPROVER, document=deployment)
        kubectl("patch", "fldep", "by-hand", AUTHOR, *patched({"abort": True}))
        assert "forbidden" in kubectl.refused(
            *(
                "patch",
                "fldep",
                "by-hand",
                AUTHOR,
                "--subresource=status",
                "--type=merge",
                "-p",
                '{"status": {"phase": "Failed"}}',
            )
        )


# -- the operator's rights ------------------------------------------------------------------------
def test_the_operator_may_do_its_work_in_the_namespace_that_it_serves_and_nothing_elsewhere(
    kubectl: Kubectl, release: str
) -> None:
    operator = f"--as=system:serviceaccount:{kubectl.namespace}:{release}"
    may = ("create jobs", "watch pods", "get pods/log", "get secrets", "patch federations/status", "create events")
    for words in may:
        kubectl("auth", "can-i", *words.split(), operator)
        kubectl.refused("auth", "can-i", *words.split(), operator, "-n", "kube-system")
    may_not = ("list secrets", "create pods", "create pods/exec", "create roles", "patch flsr", "create namespaces")
    for words in may_not:
        kubectl.refused("auth", "can-i", *words.split(), operator)
    pulse = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{release}-pulse"}}
    kubectl("apply", "--server-side", "-f", "-", operator, document=pulse)
    kubectl("delete", "cm", f"{release}-pulse")


FEDERATION: Json = {
    "image": "localhost/nowhere:none",
    "pullPolicy": "Never",
    "authority": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "groups": [
        {
            "name": "a",
            "title": "A",
            "first": 0,
            "nodes": 2,
            "placement": "Any",
            "data": {"source": {"entryPoint": "a:b"}},
        }
    ],
}


def test_the_operators_rights_suffice_for_a_federation_from_its_install_to_its_end(
    kubectl: Kubectl, helm: Helm, release: str
) -> None:
    account = f"system:serviceaccount:{kubectl.namespace}:{release}"
    fleet, where = "fed-lab", ("--namespace", kubectl.namespace)
    by_secrets = Helm(helm.path, helm.kubeconfig, {"HELM_KUBEASUSER": account})
    assert "cannot list resource" in by_secrets.refused("list", *where), "what keeps releases elsewhere than Secrets"
    operator = Helm(helm.path, helm.kubeconfig, {"HELM_DRIVER": "configmap", "HELM_KUBEASUSER": account})
    for nodes in (2, 3):
        (group,) = FEDERATION["groups"]
        changed = FEDERATION | {"groups": [group | {"nodes": nodes}]}
        operator("upgrade", "--install", fleet, CHARTS / "federation", *where, values=changed)
        assert kubectl.get("sts", f"{fleet}-node-a")["spec"]["replicas"] == nodes
    assert len(json.loads(operator("history", fleet, *where, "-o", "json"))) == 2
    operator("rollback", fleet, *where)
    assert kubectl.get("sts", f"{fleet}-node-a")["spec"]["replicas"] == 2
    operator("uninstall", fleet, *where)
    assert kubectl.get(MADE, "-l", f"app.kubernetes.io/instance={fleet}")["items"] == []
    assert kubectl.get("cm", "-l", f"owner=helm,name={fleet}")["items"] == []


# -- upgrade, rollback, uninstall -----------------------------------------------------------------
OLDER = "A request, as an older release described it."


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The chart with a definition that is worded otherwise."""
    chart = shutil.copytree(CHART, tmp_path / "fedwright")
    file = chart / "files/crds/flstrategyrequests.yaml"
    file.write_text(file.read_text().replace("A request for a federated-learning strategy.", OLDER))
    return chart


def described(kubectl: Kubectl) -> str:
    version = kubectl.get(DEFINITIONS[0])["spec"]["versions"][0]
    return str(version["schema"]["openAPIV3Schema"]["description"])


def test_definitions_are_upgraded_and_rolled_back_and_stay_with_their_resources_when_the_chart_goes(
    kubectl: Kubectl, helm: Helm, older: Path, release: str
) -> None:
    where = ("--namespace", kubectl.namespace)
    uids = [kubectl.get(one)["metadata"]["uid"] for one in DEFINITIONS]
    install(kubectl, helm, older)
    assert described(kubectl) == OLDER
    kubectl("create", "-f", "-", document=request("lasting"))

    install(kubectl, helm, CHART, replicas=3)
    assert described(kubectl) != OLDER
    assert kubectl.get("deploy", release)["spec"]["replicas"] == 3

    helm("rollback", kubectl.namespace, *where)
    assert described(kubectl) == OLDER
    assert kubectl.get("deploy", release)["spec"]["replicas"] == 1

    install(kubectl, helm, CHART)
    helm("uninstall", kubectl.namespace, *where)
    assert [kubectl.get(one)["metadata"]["uid"] for one in DEFINITIONS] == uids
    assert kubectl.get("flsr", "lasting")["spec"]["goal"] == GOOD["spec"]["goal"]
    left = kubectl.get(f"{MADE},{POLICIES}", "-l", f"app.kubernetes.io/instance={kubectl.namespace}")["items"]
    assert [(one["kind"], one["metadata"]["name"]) for one in left] == []

    install(kubectl, helm, CHART)
    assert kubectl.get("flsr", "lasting"), "a later release goes on with what was there"


def test_the_secret_of_allowances_is_made_once(kubectl: Kubectl, helm: Helm, release: str) -> None:
    def secret() -> str:
        return str(kubectl.get("secret", f"{release}-allowances")["data"]["secret"])

    install(kubectl, helm, CHART, **MODELS)
    first = secret()
    install(kubectl, helm, CHART, **MODELS, replicas=2)
    assert secret() == first
    config = yaml.safe_load(kubectl.get("cm", release)["data"]["config.yaml"])
    assert config["models"]["url"] == f"http://{release}-gateway.{kubectl.namespace}.svc:8000"
