"""A SuperNode in a container of its own, kept up: what is on one machine the supervisor's business is here the pod's own.

The SuperNode is a fork of this process. It starts anew when the SuperLink refuses it (its key is registered a little later, or
its former life is not yet believed dead), when its heartbeat has stopped, or when the executor beside it ended: a SuperNode
waits for ever for what its lost executor was to bring. Told to end, it signs off.
"""

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supernode.fleet_http_client import FleetHttpClient

from fedwright_crds.federation import NodeData
from fedwright_federation.flower import node
from fedwright_federation.flower.certificates import ensure_secret
from fedwright_federation.flower.home import NodeHome
from fedwright_federation.flower.node import Link
from fedwright_federation.flower.node_data import Device, NodeSetting
from fedwright_federation.flower.pod.presence import Watch
from fedwright_federation.flower.processes import reap, signal_group, spawn
from fedwright_federation.flower.supervision import Unit
from fedwright_federation.packaging.files import write_whole

HOST, PORT = "127.0.0.1", 9094
"""Where the executor beside it asks for tasks; nobody outside the pod reaches it."""
TICK_SECONDS = 0.2
SIGN_OFF_SECONDS = 10.0
NO_HEARTBEAT = 75
"""Exit status of a SuperNode that can no longer say that it lives."""


@dataclass(frozen=True)
class Pod:
    """What the container mounts."""

    link: Link
    own: Path
    """A folder that outlives the pod: which id the SuperLink gave to the key."""
    shared: Path
    """A folder that the executor reads."""

    @property
    def node_id(self) -> Path:
        return self.own / "node-id"

    @property
    def secret(self) -> Path:
        return self.shared / "secret"

    @property
    def executor(self) -> Path:
        return self.shared / "executor.lock"


def main(argv: Sequence[str] | None = None) -> int:
    pod, setting = _parse(argv)
    stops: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stops.append(number))
    executor = Watch(pod.executor)
    ensure_secret(pod.secret)
    unit = Unit("supernode", lambda: {"supernode": lambda: spawn("supernode", lambda: _be(pod, setting))})
    while not stops:
        if executor.lost():
            unit.renew()
        unit.tend()
        time.sleep(TICK_SECONDS)
    _sign_off(unit)
    return 0


def _parse(argv: Sequence[str] | None) -> tuple[Pod, NodeSetting]:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--superlink", required=True)
    parser.add_argument("--root-certificates", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True, help="the node's private key")
    parser.add_argument("--own", type=Path, required=True, help="a folder that outlives the pod")
    parser.add_argument("--shared", type=Path, required=True, help="a folder that the executor reads")
    parser.add_argument("--first", type=int, required=True, help="number of the group's first node")
    parser.add_argument("--place", type=int, required=True, help="of this node within its group, from 0")
    parser.add_argument("--nodes", type=int, required=True, help="of all groups")
    parser.add_argument("--data", type=NodeData.model_validate_json, required=True, help="a NodeData as JSON")
    parser.add_argument("--device", choices=get_args(Device), default="cpu", help="where its ClientApps compute")
    parser.add_argument("--home", type=Path, required=True, help="the executor's folder for data and state")
    given = parser.parse_args(argv)
    number, home = given.first + given.place, NodeHome(given.home)
    setting = NodeSetting(number, f"node-{number}", given.nodes, given.data, given.place, home, given.device)
    return Pod(Link(given.superlink, given.root_certificates, given.key), given.own, given.shared), setting


def _be(pod: Pod, setting: NodeSetting) -> None:
    """The SuperNode itself, in a process of its own."""
    before = None
    with suppress(FileNotFoundError, ValueError):
        before = int(pod.node_id.read_text())
    _remember_the_id(pod.node_id)
    _end_with_the_heartbeat()
    flags = (
        *("--isolation", "process"),
        *("--host", HOST, "--port", str(PORT)),
        *("--superexec-auth-secret-file", str(pod.secret)),
        *("--node-config", setting.config),
    )
    node.serve(flags, pod.link, before)


def _remember_the_id(path: Path) -> None:
    """Write down which node this is whenever the SuperLink says so, for the next life to sign this one off."""
    client: Any = FleetHttpClient
    activate = client.ActivateNode

    def noting(self: Any, request: Any) -> Any:
        answer = activate(self, request)
        write_whole(path, str(answer.node_id).encode())
        return answer

    client.ActivateNode = noting


def _end_with_the_heartbeat() -> None:
    """A stock SuperNode whose heartbeat thread died, as it does at one answer of 500, stays and is believed dead."""
    sender: Any = HeartbeatSender
    send = sender._run

    def watched(self: Any) -> None:
        try:
            send(self)
        except BaseException:
            traceback.print_exc()
            os._exit(NO_HEARTBEAT)

    sender._run = watched


def _sign_off(unit: Unit) -> None:
    for pid in unit.pids.values():
        signal_group(pid, signal.SIGTERM)
    until = time.monotonic() + SIGN_OFF_SECONDS
    while time.monotonic() < until and any(reap(pid) is None for pid in unit.pids.values()):
        time.sleep(TICK_SECONDS)
    unit.end()


if __name__ == "__main__":
    sys.exit(main())
