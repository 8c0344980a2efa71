"""The registrar at a real SuperLink: keys that appear are known, keys that go are struck off, and what it says is true."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import small_app
from real_fleet import RealFleet, running

from fedwright_crds.certificates import new_node_key, public_key_of
from fedwright_crds.federation import FleetSeen
from fedwright_federation.flower.certificates import ensure_node_key
from fedwright_federation.flower.control import Control
from fedwright_federation.flower.pod.registrar import Registrar

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealFleet]:
    root = tmp_path_factory.mktemp("fleet")
    with running(root, small_app.write_shards(root / "shards", small_app.shards())) as fleet:
        yield fleet


@pytest.fixture
def keys(fleet: RealFleet, tmp_path: Path) -> Path:
    """The public keys of the fleet's own nodes, as a ConfigMap is mounted: with what replaces it as a whole beside them."""
    folder = tmp_path / "keys"
    (folder / "..data").mkdir(parents=True)
    for number in (0, 1):
        (folder / f"ward.{number}").write_bytes(ensure_node_key(fleet.home.node(number).key))
    return folder


def registrar(fleet: RealFleet, keys: Path) -> Registrar:
    authority, token = fleet.home.authority.read_bytes(), fleet.home.control_token.read_text()
    return Registrar(lambda: Control(fleet.status.control_address, authority, token), keys)


def known(fleet: RealFleet) -> set[bytes]:
    return {node.public_key for node in fleet.nodes() if node.status != "unregistered"}


def test_it_counts_who_is_online(fleet: RealFleet, keys: Path) -> None:
    assert registrar(fleet, keys).look() == FleetSeen(wanted=2, connected=2, complete=True)


def test_a_new_key_is_registered_and_one_that_goes_is_struck_off(fleet: RealFleet, keys: Path) -> None:
    public = public_key_of(new_node_key())
    (keys / "ward.2").write_bytes(public)
    one = registrar(fleet, keys)
    assert one.look() == FleetSeen(wanted=3, connected=2, complete=False)
    assert public in known(fleet)
    (keys / "ward.2").unlink()
    assert one.look() == FleetSeen(wanted=2, connected=2, complete=True)
    assert public not in known(fleet)


def test_an_empty_folder_strikes_nobody_off(fleet: RealFleet, keys: Path) -> None:
    before = known(fleet)
    for path in keys.glob("ward.*"):
        path.unlink()
    registrar(fleet, keys).look()
    assert known(fleet) == before


def test_a_superlink_that_is_away_is_told_and_a_fleet_that_was_whole_stays_so(fleet: RealFleet, keys: Path) -> None:
    one = registrar(fleet, keys)
    assert one.look().complete
    one._connect = lambda: Control("localhost:1", fleet.home.authority.read_bytes(), "")
    seen = one.look()
    assert (seen.connected, seen.complete) == (0, True) and "does not answer" in seen.message


def test_the_program_says_how_it_stands_and_ends_when_told(fleet: RealFleet, keys: Path, tmp_path: Path) -> None:
    words = {
        "control": fleet.status.control_address,
        "root-certificates": fleet.home.authority,
        "control-token-file": fleet.home.control_token,
        "nodes": keys,
        "alive": tmp_path / "alive",
    }
    flags = [f"--{name}={value}" for name, value in words.items()]
    program = [sys.executable, "-m", "fedwright_federation.flower.pod.registrar", *flags]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(60, process.kill)
        guard.start()
        assert process.stdout
        said = FleetSeen.model_validate(json.loads(process.stdout.readline()))
        assert (said.wanted, said.connected) == (2, 2) and (tmp_path / "alive").exists()
        begun = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(20) == 0 and time.monotonic() - begun < 5
        guard.cancel()
