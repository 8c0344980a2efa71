"""A federation as a whole: who may do what at it, what is left of it, and how it goes on after its end."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import small_app
from flwr.proto.control_pb2 import ListNodesRequest
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from real_fleet import RealFleet, alive, family_of, running

from fedwright_crds.documents import DeploymentMetrics
from fedwright_crds.federation import FederationPhase
from fedwright_federation.flower.certificates import ensure_node_key, load_node_key
from fedwright_federation.flower.control import Control
from fedwright_federation.flower.deploy import DeploymentFailedError

pytestmark = pytest.mark.slow
ROUNDS = 3


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealFleet]:
    root = tmp_path_factory.mktemp("fleet")
    with running(root, small_app.write_shards(root / "shards", small_app.shards())) as fleet:
        yield fleet


def post(fleet: RealFleet, address: str, path: str, token: str = "none") -> int:
    context = ssl.create_default_context(cafile=str(fleet.home.authority))
    headers = {
        "authorization": f"Bearer {token}",
        "content-type": "application/protobuf",
        "accept": "application/protobuf",
    }
    with httpx.Client(verify=context) as client:
        return client.post(
            f"https://{address}{path}", content=ListNodesRequest().SerializeToString(), headers=headers
        ).status_code


def test_its_status_is_what_an_operator_reads(fleet: RealFleet) -> None:
    status = fleet.status
    assert status.phase is FederationPhase.READY and (status.nodes_wanted, status.nodes_connected) == (2, 2)
    assert status.certificate_expires_at > time.strftime("%Y-%m-%d") and status.message == ""
    assert status.pids.keys() == {"superlink", "serverapp", "n0-0", "n0-0-apps", "n1-0", "n1-0-apps"}


def test_only_whoever_holds_the_token_controls_it(fleet: RealFleet) -> None:
    status, token = fleet.status, fleet.home.control_token.read_text()
    assert post(fleet, status.control_address, "/v1/control/list-nodes", token) == 200
    assert post(fleet, status.control_address, "/v1/control/list-nodes") == 403
    assert post(fleet, status.control_address, "/v1/control/list-nodes", token[:-1]) == 403


def test_each_api_answers_at_its_own_port_alone(fleet: RealFleet) -> None:
    status, token = fleet.status, fleet.home.control_token.read_text()
    for path in (
        "/v1/control/list-nodes",
        "/v1/control/start-run",
        "/v1/runtime/acquire-task",
        "/docs",
        "/openapi.json",
    ):
        assert post(fleet, status.address, path, token) == 403
    assert post(fleet, status.control_address, "/v1/runtime/acquire-task", token) == 403
    assert post(fleet, status.control_address, "/v1/fleet/register-node", token) == 403


def test_a_node_cannot_speak_to_the_control_api(fleet: RealFleet) -> None:
    """With all that a node holds: the authority's certificate, its key, its secret."""
    with Control(
        fleet.status.control_address, fleet.home.authority.read_bytes(), fleet.home.node(0).secret.read_text()
    ) as control:
        for ask in (control.nodes, control.runs, lambda: control.start(b"", {})):
            with pytest.raises(httpx.HTTPStatusError, match="403"):
                ask()


def test_a_key_that_is_not_registered_cannot_join(fleet: RealFleet, tmp_path: Path) -> None:
    public, key = ensure_node_key(tmp_path / "key"), load_node_key(tmp_path / "key")
    interceptors = [
        RuntimeVersionHttpInterceptor(component_name="SuperNode"),
        NodeAuthHttpInterceptor(key, key.public_key()),
    ]
    address, authority = fleet.status.address, fleet.home.authority.read_bytes()
    with (
        FleetHttpClient.from_server_address(address, False, authority, interceptors) as client,
        pytest.raises(httpx.HTTPStatusError),
    ):
        client.ActivateNode(ActivateNodeRequest(public_key=public, heartbeat_interval=30))
    assert len(fleet.nodes()) == 2


def test_an_app_that_cannot_work_fails_with_its_reason(fleet: RealFleet) -> None:
    code = small_app.code("fedrep").files | {
        "strategy.py": "def build(hyperparameters):\n    raise ValueError('no such part')\n"
    }
    app = small_app.zipped(small_app.app_files(small_app.settings("fedrep"), small_app.CandidateCode(files=code)))
    with pytest.raises(DeploymentFailedError, match="no such part"):
        fleet.run(app, "hopeless", ROUNDS)


def test_an_app_executor_that_dies_takes_its_run_along_at_once(fleet: RealFleet) -> None:
    killed: list[int] = []

    def kill_once(job: object) -> None:
        if not killed and getattr(job, "round", 0) >= 1:
            killed.append(fleet.status.pids["serverapp"])
            os.kill(killed[0], signal.SIGKILL)

    metrics = fleet.run(small_app.package("scaffold"), "executor", ROUNDS, kill_once)
    assert killed and metrics.model_digest == small_app.model_digest_of(
        small_app.simulated("scaffold", small_app.shards())
    )


def test_a_status_that_cannot_be_written_ends_nothing(fleet: RealFleet) -> None:
    """As on a full disk."""
    assert fleet.process
    before = fleet.status.pids["superlink"]
    fleet.home.status.unlink()
    fleet.home.status.mkdir()
    os.kill(before, signal.SIGKILL)
    time.sleep(1)
    assert fleet.process.poll() is None
    fleet.home.status.rmdir()
    fleet.wait_until(lambda status: status.ready and status.pids.get("superlink") not in {None, before})


def test_a_damaged_database_is_named_at_the_start(tmp_path: Path) -> None:
    fleet = RealFleet(tmp_path, [tmp_path / "none.npz"])
    fleet.home.root.mkdir()
    fleet.home.database.write_bytes(b"no database" * 1000)
    program = [sys.executable, "-m", "fedwright_federation.flower.fleet"]
    done = subprocess.run(
        [*program, "--home", fleet.home.root, "--spec", fleet.spec], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"{fleet.home.database} is damaged") and "move it away" in done.stderr


def deploy(fleet: RealFleet, box: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "FEDWRIGHT_BOX": str(box), "FEDWRIGHT_FEDERATION": str(fleet.home.root)}
    program = [sys.executable, "-m", "fedwright_federation.flower.deploy"]
    return subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True)


def test_everything_is_killed_and_goes_on(tmp_path: Path) -> None:
    """The supervisor, and so all its processes, and the deploying program, in mid-run; then both are started again."""
    given = small_app.shards()
    fleet = RealFleet(tmp_path, small_app.write_shards(tmp_path / "shards", given))
    fleet.start()
    assert fleet.process
    family, authority = family_of(fleet.process.pid), fleet.home.authority.read_bytes()
    ids = {node.id for node in fleet.nodes()}
    for name in ("in", "out", "scratch"):
        (tmp_path / "box" / name).mkdir(parents=True)
    (tmp_path / "box" / "in" / "app.zip").write_bytes(small_app.package("scaffold", 4))
    (tmp_path / "box" / "in" / "deploy.json").write_text(json.dumps({"job": "whole", "rounds": 4}))

    first = deploy(fleet, tmp_path / "box")
    with first:
        assert first.stdout and json.loads(first.stdout.readline())["round"] == 1
        first.kill()
    family |= family_of(fleet.process.pid)
    fleet.stop(signal.SIGKILL)
    end = time.monotonic() + 5
    while alive(family) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(family)

    fleet.start()
    second = deploy(fleet, tmp_path / "box")
    words, _ = second.communicate(timeout=90)
    assert second.returncode == 0
    metrics = DeploymentMetrics.model_validate_json((tmp_path / "box" / "out" / "metrics.json").read_bytes())
    assert metrics.model_digest == small_app.model_digest_of(small_app.simulated("scaffold", given, 4))
    assert metrics.restarts == 1 and [json.loads(line)["round"] for line in words.splitlines()] == [1, 2, 3, 4]
    assert fleet.home.authority.read_bytes() == authority
    assert {node.id for node in fleet.nodes()} == ids

    family = family_of(fleet.process.pid)
    fleet.stop(signal.SIGTERM)
    assert fleet.process.returncode == 0 and not alive(family)
    assert fleet.status.phase is FederationPhase.STOPPED and not fleet.status.ready
