"""A real federation for tests: the fleet program as a child process, and jobs followed in this one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fedwright_crds.documents import DeployInput, DeploymentMetrics
from fedwright_federation.flower.control import Control, Node
from fedwright_federation.flower.deploy import Job, Submission
from fedwright_federation.flower.home import Home
from fedwright_federation.flower.site import MachineSite
from fedwright_federation.flower.status import Status

READY_SECONDS = 60.0
FLEET = ("-m", "fedwright_federation.flower.fleet")


class RealFleet:
    """One running federation. `program` is what Python is to run instead of the fleet's own."""

    def __init__(self, root: Path, shards: list[Path], program: Sequence[str] = FLEET) -> None:
        self.home, self.spec = Home(root / "home"), root / "spec.json"
        group = [{"name": f"n{i}", "nodes": 1, "data": {"path": str(path)}} for i, path in enumerate(shards)]
        self.spec.write_text(json.dumps({"groups": group}))
        self.program = [sys.executable, *program, "--home", str(self.home.root), "--spec", str(self.spec)]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.home.status.unlink(missing_ok=True)
        self.process = subprocess.Popen(self.program)
        self.wait_until(lambda status: status.ready)

    def wait_until(self, true: Callable[[Status], bool], seconds: float = READY_SECONDS) -> Status:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.home.status.exists() and true(status := Status.read(self.home.status)):
                return status
            time.sleep(0.1)
        raise TimeoutError(self.home.status.read_text())

    @property
    def status(self) -> Status:
        return Status.read(self.home.status)

    def nodes(self) -> list[Node]:
        authority, token = self.home.authority.read_bytes(), self.home.control_token.read_text()
        with Control(self.status.control_address, authority, token) as control:
            return control.nodes()

    def kill(self, name: str) -> None:
        """SIGKILL one of its processes, or the `ServerApp`."""
        pids = self.status.pids
        found = [pids[name]] if name in pids else children_of(pids["serverapp"])
        assert found, f"there is no {name} to kill"
        os.kill(found[0], signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.process
        self.process.send_signal(number)
        self.process.wait(20)

    def run(
        self, app: bytes, job: str, rounds: int, at_poll: Callable[[Job], None] = lambda _: None
    ) -> DeploymentMetrics:
        """Follow a job to its end; `at_poll` is called every half second meanwhile."""
        order = Job.of(DeployInput(job=job, rounds=rounds), app, MachineSite(self.home))

        def poll() -> bool:
            at_poll(order)
            return False

        Submission(order).follow(poll, lambda _: None)
        metrics = order.metrics()
        assert order.done and metrics
        return metrics


@contextmanager
def running(root: Path, shards: list[Path], program: Sequence[str] = FLEET) -> Iterator[RealFleet]:
    fleet = RealFleet(root, shards, program)
    fleet.start()
    try:
        yield fleet
    finally:
        fleet.stop()


def children_of(pid: int) -> list[int]:
    return [child for child, parent in _parents().items() if parent == pid]


def family_of(pid: int) -> set[int]:
    """A process and all that descend from it."""
    parents = _parents()
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def alive(pids: set[int]) -> set[int]:
    return pids & _parents().keys()


def _parents() -> dict[int, int]:
    """Of every process that is no zombie."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            found[int(folder.name)] = int(fields[1])
    return found
