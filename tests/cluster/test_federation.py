"""A federation on a real cluster: it comes up, an app runs to its end whatever is lost, nobody takes what is not theirs, nothing is left.

One federation serves all tests of this module, in their order, until it is taken down.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_fleet import SECONDS, ClusterFleet, group, namespaced, pod, simulated
from kubectl import Kubectl

from fedwright_boxes.pod.contract import stop_seconds
from fedwright_crds.documents import DeploymentMetrics
from fedwright_crds.work import BoxKind
from fedwright_operator.cluster import names
from fedwright_operator.cluster.cache import Cache
from fedwright_operator.cluster.federation_values import FederationSettings, group_name
from fedwright_operator.cluster.helm import HelmError
from fedwright_operator.cluster.progress import Figures, Progress
from fedwright_operator.cluster.releases import Fleet

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

Json = dict[str, Any]

RELEASE = "fed-trial"
WARD = f"{RELEASE}-node-{group_name('Ward_3')}"
ROUNDS = 4

REACH = """
import socket, sys
for target in sys.argv[1:]:
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 3).close()
        print(target, "open")
    except OSError as problem:
        print(target, type(problem).__name__)
"""
"""Which addresses take a connection."""

ASK = """
import httpx, ssl, sys
address, authority, token, *paths = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
headers = {"authorization": "Bearer " + token, "content-type": "application/protobuf", "accept": "application/protobuf"}
with httpx.Client(verify=context) as client:
    for path in paths:
        print(path, client.post("https://" + address + path, content=b"", headers=headers).status_code)
"""
"""What an API answers, over TLS."""

RUNS = """
import pathlib, sys
from fedwright_federation.flower.control import Control
authority, token = (pathlib.Path("/fedwright", path) for path in ("authority/ca.crt", "control/token"))
with Control("localhost:8001", authority.read_bytes(), token.read_text().strip()) as control:
    for run in control.runs():
        if run.settings["job"].startswith(sys.argv[1]):
            print(run.status, run.outcome)
"""
"""How the runs of a job are."""

JOIN = """
import sys
import httpx
from flwr.proto.fleet_pb2 import ActivateNodeRequest, RegisterNodeFleetRequest
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from fedwright_crds.certificates import load_node_key, new_node_key, public_key_of
address, authority = sys.argv[1:]
made = new_node_key()
key, public = load_node_key(made), public_key_of(made)
interceptors = [RuntimeVersionHttpInterceptor(component_name="SuperNode"), NodeAuthHttpInterceptor(key, key.public_key())]
with FleetHttpClient.from_server_address(address, False, open(authority, "rb").read(), interceptors) as client:
    for ask in (lambda: client.RegisterNode(RegisterNodeFleetRequest(public_key=public)),
                lambda: client.ActivateNode(ActivateNodeRequest(public_key=public, heartbeat_interval=30))):
        try:
            print("let in", ask())
        except httpx.HTTPStatusError as problem:
            print("refused", problem.response.status_code)
"""
"""A node that makes itself a key."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterFleet]:
    with pytest.MonkeyPatch.context() as patch, namespaced(patch) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def fleet(cluster: ClusterFleet) -> Fleet:
    fleet = cluster.fleet(group(2))
    cluster.wait_until(fleet, lambda status: status.ready and status.nodes_connected == 2)
    return fleet


def script(cluster: ClusterFleet, where: str, container: str, program: str, *words: str) -> list[str]:
    said = cluster.kubectl("exec", where, "-c", container, "--", "python", "-I", "-B", "-c", program, *words)
    return said.splitlines()


def checked(cluster: ClusterFleet, job: str, rounds: int = ROUNDS) -> DeploymentMetrics:
    """What a job left is what the simulator makes."""
    return same_as_simulated(cluster.result(job), rounds)


def same_as_simulated(found: dict[str, bytes], rounds: int = ROUNDS) -> DeploymentMetrics:
    metrics = DeploymentMetrics.model_validate_json(found["metrics.json"])
    assert metrics.model_digest == simulated(rounds) and [one.round for one in metrics.rounds] == list(
        range(1, rounds + 1)
    )
    assert found["model.npz"]
    return metrics


# -- it works -------------------------------------------------------------------------------------
def test_it_says_how_it_stands(cluster: ClusterFleet, fleet: Fleet) -> None:
    status = cluster.releases.status(fleet)
    assert status.address == f"{RELEASE}-superlink.{cluster.kubectl.namespace}.svc:8000"
    assert status.certificate_expires_at > time.strftime("%Y-%m-%d") and status.message == ""


def test_what_is_so_already_is_no_new_revision(cluster: ClusterFleet, fleet: Fleet) -> None:
    cluster.releases._known.clear()  # as after a restart of the operator
    cluster.releases.ensure(fleet)
    revision = cluster.releases.helm.revision(RELEASE, cluster.kubectl.namespace)
    assert revision and (revision.number, revision.status) == (1, "deployed")


def test_a_work_of_the_operator_s_deploys_from_its_box(cluster: ClusterFleet, fleet: Fleet) -> None:
    assert same_as_simulated(cluster.deploy("boxed", ROUNDS)).restarts == 0


def test_a_work_that_runs_is_seen_to_count_rounds_and_its_run_is_stopped_when_its_job_goes(
    cluster: ClusterFleet, fleet: Fleet
) -> None:
    work, name = cluster.start("stopped", 400)
    cache = Cache()
    progress, until = Progress(cluster.releases.api, cache), time.monotonic() + SECONDS
    seen: dict[str, Figures] = {}
    while seen.get(work.id, {}).get("round", 0) < 2:
        assert time.monotonic() < until, cluster.kubectl("logs", name, "-c", "0-deploy")
        time.sleep(1)
        cache.put(cluster.kubectl.get("pod", name))
        seen = progress.of(str(cluster.owner["uid"]))
    assert 0 <= seen[work.id]["accuracy"] <= 1
    assert how_runs_are(cluster, "stopped") == ["running "]
    cluster.kubectl("delete", "job", names.object_name(work.id))
    cluster.kubectl("wait", f"pod/{name}", "--for=delete", f"--timeout={stop_seconds([BoxKind.PLATFORM]) + 20}s")
    assert how_runs_are(cluster, "stopped") == ["finished stopped"]


def how_runs_are(cluster: ClusterFleet, job: str) -> list[str]:
    """What the SuperLink says of a job's runs."""
    return script(cluster, f"{RELEASE}-superlink-0", "registrar", RUNS, job)


def test_an_app_runs_to_its_end_while_the_superlink_is_lost(cluster: ClusterFleet, fleet: Fleet) -> None:
    cluster.submit("without-superlink", ROUNDS)
    cluster.wait_for_round("without-superlink", 1)
    cluster.kubectl("delete", "pod", f"{RELEASE}-superlink-0", "--force", "--grace-period=0")
    assert checked(cluster, "without-superlink").restarts == 0


def test_a_lost_server_app_goes_on_from_its_checkpoint(cluster: ClusterFleet, fleet: Fleet) -> None:
    cluster.submit("without-serverapp", ROUNDS)
    cluster.wait_for_round("without-serverapp", 1)
    cluster.kubectl("delete", "pod", f"{RELEASE}-serverapp-0", "--force", "--grace-period=0")
    assert checked(cluster, "without-serverapp").restarts == 1


def test_a_node_whose_apps_are_lost_starts_anew_with_them(cluster: ClusterFleet, fleet: Fleet) -> None:
    """The executor is told to end, as it ends itself where a ClientApp died without a word."""
    cluster.submit("without-apps", ROUNDS)
    cluster.wait_for_round("without-apps", 1)
    script(cluster, f"{WARD}-0", "superexec", "import os, signal; os.kill(1, signal.SIGTERM)")
    checked(cluster, "without-apps")
    status = cluster.kubectl.get("pod", f"{WARD}-0")["status"]["containerStatuses"]
    assert {one["name"]: one["restartCount"] for one in status} == {"supernode": 0, "superexec": 1}
    assert cluster.kubectl("logs", f"{WARD}-0", "-c", "supernode").count("SuperNode ID") == 2


@pytest.mark.long
def test_a_machine_that_goes_down_under_a_run_and_comes_back_changes_nothing(
    cluster: ClusterFleet, fleet: Fleet, devcluster: Callable[..., None]
) -> None:
    """With all pods on it, hard: those of one node of the federation at the least."""
    cluster.submit("without-machine", ROUNDS)
    cluster.wait_for_round("without-machine", 1)
    machine = cluster.kubectl.get("pod", f"{WARD}-1")["spec"]["nodeName"].removeprefix("node")
    devcluster("stop-node", machine)
    try:
        time.sleep(45)
    finally:
        devcluster("start-node", machine)
    checked(cluster, "without-machine")
    cluster.wait_until(fleet, lambda status: status.ready and status.nodes_connected == 2)


# -- nobody takes what is not theirs --------------------------------------------------------------
@pytest.mark.parametrize("container", ["supernode", "superexec"])
def test_from_a_node_s_pod_the_fleet_api_alone_is_reached(cluster: ClusterFleet, fleet: Fleet, container: str) -> None:
    """The ClientApp lives in the second."""
    targets = [f"{RELEASE}-superlink:{port}" for port in (8000, 8001, 8002)] + [f"{RELEASE}-serverapp:8003"]
    targets += ["kubernetes.default.svc:443"]
    found = dict(line.split() for line in script(cluster, f"{WARD}-0", container, REACH, *targets))
    assert found.pop(targets[0]) == "open" and set(found.values()) == {"TimeoutError"}


def test_from_a_server_app_s_pod_the_runtime_api_alone_is_reached(cluster: ClusterFleet, fleet: Fleet) -> None:
    targets = [f"{RELEASE}-superlink:{port}" for port in (8002, 8000, 8001)] + ["kubernetes.default.svc:443"]
    found = dict(line.split() for line in script(cluster, f"{RELEASE}-serverapp-0", "superexec", REACH, *targets))
    assert found.pop(targets[0]) == "open" and set(found.values()) == {"TimeoutError"}


def test_at_the_fleet_s_port_control_and_runtime_are_refused_even_with_the_token(
    cluster: ClusterFleet, fleet: Fleet
) -> None:
    token = script(cluster, f"{RELEASE}-superlink-0", "superlink", "print(open('/fedwright/control/token').read())")[0]
    paths = [
        "/v1/control/list-nodes",
        "/v1/control/start-run",
        "/v1/control/register-node",
        "/v1/runtime/acquire-task",
        "/docs",
    ]
    where = (f"{RELEASE}-superlink:8000", "/fedwright/authority/ca.crt", token)
    said = script(cluster, f"{WARD}-0", "supernode", ASK, *where, *paths)
    assert said == [f"{path} 403" for path in paths]


def test_a_node_registers_no_key_and_joins_with_none_of_its_own_making(cluster: ClusterFleet, fleet: Fleet) -> None:
    said = script(cluster, f"{WARD}-0", "supernode", JOIN, f"{RELEASE}-superlink:8000", "/fedwright/authority/ca.crt")
    assert [line.split()[0] for line in said] == ["refused", "refused"]
    assert cluster.releases.status(fleet).nodes_connected == 2


def test_a_client_app_sees_no_key_no_certificate_and_no_token(cluster: ClusterFleet, fleet: Fleet) -> None:
    look = "import os; print([os.path.join(at, n) for at, _, ns in os.walk('/fedwright') for n in ns], os.path.exists('/var/run/secrets'))"
    said = script(cluster, f"{WARD}-0", "superexec", look)[0]
    assert "key" not in said and "crt" not in said and "token" not in said and said.endswith("False")


def test_a_node_sees_its_own_key_alone(cluster: ClusterFleet, fleet: Fleet) -> None:
    read = "print(open('/fedwright/key').read().strip())"
    keys = {"\n".join(script(cluster, f"{WARD}-{place}", "supernode", read)) for place in (0, 1)}
    assert len(keys) == 2


def test_a_client_app_cannot_change_its_node_s_data_or_secret(cluster: ClusterFleet, fleet: Fleet) -> None:
    write = """
for path in ("/fedwright/node/data.npz", "/fedwright/shared/secret", "/fedwright/shared/new", "/fedwright/key", "/etc/new"):
    try:
        open(path, "ab").close()
        print("written", path)
    except OSError as problem:
        print(type(problem).__name__)
"""
    assert not [line for line in script(cluster, f"{WARD}-0", "superexec", write) if line.startswith("written")]


def test_a_pod_that_is_no_box_of_this_federation_reaches_nothing_of_it(cluster: ClusterFleet, fleet: Fleet) -> None:
    targets = [f"{RELEASE}-superlink:{port}" for port in (8000, 8001, 8002)] + [f"{RELEASE}-serverapp:8003"]
    assert set(seen_by_a_stranger(cluster, targets).values()) == {"TimeoutError"}


def seen_by_a_stranger(cluster: ClusterFleet, targets: list[str]) -> dict[str, str]:
    """What a box of another federation reaches."""
    labels = {"fedwright.dev/federation": "another", "fedwright.dev/network": "federation"}
    command = ["python", "-I", "-B", "-c", REACH, *targets]
    cluster.kubectl("apply", "-f", "-", document=pod("stranger", command, labels, {}))
    cluster.kubectl("wait", "pod/stranger", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=55s")
    return dict(line.split() for line in cluster.kubectl("logs", "stranger").splitlines())


# -- it changes, and goes -------------------------------------------------------------------------
def keys(cluster: ClusterFleet) -> dict[str, str]:
    found: dict[str, str] = cluster.kubectl.get("secret", f"{RELEASE}-keys-{group_name('Ward_3')}")["data"]
    return found


def test_it_grows_and_shrinks_and_a_node_that_went_never_comes_back(cluster: ClusterFleet, fleet: Fleet) -> None:
    two = keys(cluster)
    cluster.wait_until(cluster.fleet(group(3)), lambda status: status.ready and status.nodes_connected == 3)
    three = keys(cluster)
    assert {place: three[place] for place in two} == two
    cluster.wait_until(fleet, lambda status: status.ready and status.nodes_connected == 2)
    assert keys(cluster) == two
    cluster.wait_until(cluster.fleet(group(3)), lambda status: status.ready and status.nodes_connected == 3)
    assert keys(cluster)["2"] != three["2"]


def test_what_cannot_be_is_told_and_what_runs_runs_on(cluster: ClusterFleet) -> None:
    wrong = cluster.fleet(group(2, data={"path": "/etc/shadow"}))
    cluster.releases.ensure(wrong)
    status = cluster.releases.status(wrong)
    assert "data.path /etc/shadow lies below no folder" in status.message
    revision = cluster.releases.helm.revision(RELEASE, cluster.kubectl.namespace)
    assert revision and revision.status == "deployed"


def test_a_release_of_another_chart_is_left_alone(cluster: ClusterFleet, tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text(json.dumps({"apiVersion": "v2", "name": "other", "version": "1.0.0"}))
    (tmp_path / "templates").mkdir()
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}}
    (tmp_path / "templates" / "one.yaml").write_text(json.dumps(one))
    helm = cluster.releases.helm
    other = type(helm)(tmp_path)
    other.ensure("fed-mine", cluster.kubectl.namespace, {})
    with pytest.raises(HelmError, match="fed-mine is a release of the chart other"):
        helm.ensure("fed-mine", cluster.kubectl.namespace, {})
    cluster.kubectl("delete", "configmap,secret", "-l", "owner=helm,name=fed-mine")
    cluster.kubectl("delete", "configmap", "mine")


def test_an_earlier_revision_comes_back_by_rollback(cluster: ClusterFleet) -> None:
    helm, namespace = cluster.releases.helm, cluster.kubectl.namespace
    before = helm.revision(RELEASE, namespace)
    assert before and helm.rollback(RELEASE, namespace, 1).number == before.number + 1
    assert cluster.kubectl.get("statefulset", WARD)["spec"]["replicas"] == 2


def test_nothing_is_left_of_it_when_its_federation_is_deleted(cluster: ClusterFleet, fleet: Fleet) -> None:
    """Nobody takes it down: all of it is the federation's, Helm's records of all its revisions too."""
    cluster.looked_at_again(fleet)
    cluster.kubectl("delete", "configmap", "owner")
    until = time.monotonic() + 120
    kinds = "statefulset,pod,pvc,service,networkpolicy,configmap,secret"
    mine = ("kube-root-ca.crt", "owner", "without-", "stranger", "w-", "piece-")
    while left := [
        name for one in cluster.kubectl.get(kinds)["items"] if not (name := one["metadata"]["name"]).startswith(mine)
    ]:
        assert time.monotonic() < until, left
        time.sleep(1)


# -- nodes outside --------------------------------------------------------------------------------
NODE_PORT = 30917


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterFleet]:
    """Nodes outside the cluster come in by a port of its first node."""
    external = {"port": NODE_PORT, "service": {"type": "NodePort", "nodePort": NODE_PORT}}
    settings = FederationSettings(external_host=node_address(), values={"external": external})
    with namespaced(monkeypatch, settings) as cluster:
        yield cluster


def node_address() -> str:
    kubectl = Kubectl(os.environ["KUBECONFIG"], str(Path(shutil.which("kubectl") or "").parent), namespace="default")
    addresses: list[Json] = kubectl.get("nodes")["items"][0]["status"]["addresses"]
    return str(next(one["address"] for one in addresses if one["type"] == "InternalIP"))


def test_a_node_outside_joins_by_its_key_and_the_way_in_leads_to_the_fleet_api_alone(
    outside: ClusterFleet, tmp_path: Path
) -> None:
    """This machine is the node: it has the group's first key and the authority's certificate. A pod stands for all others."""
    fleet = outside.fleet(group(1, name="far", placement="External", data={"entryPoint": "clinic:load"}), name="far")
    outside.wait_until(fleet, lambda status: "not ready" not in status.message)
    secret, config_map = (
        outside.kubectl.get("secret", "fed-far-keys-far"),
        outside.kubectl.get("cm", "fed-far-outside-far"),
    )
    (tmp_path / "key").write_bytes(base64.b64decode(secret["data"]["0"]))
    (tmp_path / "ca.crt").write_text(config_map["data"]["ca.crt"])
    address = outside.releases.status(fleet).address
    assert address == f"{node_address()}:{NODE_PORT}"
    flags = {
        "superlink": address,
        "root-certificates": "ca.crt",
        "auth-supernode-private-key": "key",
        "isolation": "process",
    }
    program = [sys.executable, "-m", "fedwright_federation.flower.node", *(f"--{k}={v}" for k, v in flags.items())]
    environment = {**os.environ, "FLWR_HOME": str(tmp_path / "flower"), "FLWR_TELEMETRY_ENABLED": "0"}
    with (tmp_path / "log").open("wb") as log:
        node = subprocess.Popen([*program, "--port=19094"], cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        outside.wait_until(fleet, lambda status: status.ready and status.nodes_connected == 1)
        paths = ["/v1/control/list-nodes", "/v1/control/start-run", "/v1/runtime/acquire-task"]
        said = subprocess.run(
            [sys.executable, "-c", ASK, address, tmp_path / "ca.crt", "guessed", *paths], capture_output=True, text=True
        )
        assert said.stdout.splitlines() == [f"{path} 403" for path in paths]
    finally:
        node.terminate()
        node.wait(20)
    found = seen_by_a_stranger(outside, [f"fed-far-superlink:{port}" for port in (8000, 8001, 8002)])
    assert list(found.values()) == ["open", "TimeoutError", "TimeoutError"]
