"""The SuperLink, a SuperNode and its executor as programs of their own, as they run on machines of their own."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from fedwright_federation.flower.certificates import ensure_certificates, ensure_node_key, ensure_secret
from fedwright_federation.flower.control import Control
from fedwright_federation.flower.home import Home

pytestmark = pytest.mark.slow


@contextmanager
def program(home: Home, name: str, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home.root),
        "FLWR_HOME": str(home.flower(name)),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
    }
    module = f"fedwright_federation.flower.{name}"
    with (
        (home.root / f"{name}.log").open("wb") as log,
        subprocess.Popen([sys.executable, "-m", module, *flags], env=environment, stdout=log, stderr=log) as child,
    ):
        try:
            yield child
        finally:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(10)
            child.kill()


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for_online(control: Control) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if [node.status for node in control.nodes()] == ["online"]:
            return
        time.sleep(0.2)
    raise TimeoutError("the node did not come")


def wait_for_answer(control: Control) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(httpx.TransportError):
            control.nodes()
            return
        time.sleep(0.2)
    raise TimeoutError("the SuperLink did not answer")


def test_a_node_joins_and_comes_back_after_a_kill(tmp_path: Path) -> None:
    home = Home(tmp_path)
    ensure_certificates(home, ["127.0.0.1"], 30)
    node, (fleet, control_port, runtime, own) = home.node(0), free_ports(4)
    public, token = ensure_node_key(node.key), ensure_secret(home.control_token)
    for path in (node.secret, home.executor_secret):
        ensure_secret(path)
    superlink = (
        *("--port", str(fleet), "--control-port", str(control_port), "--runtime-port", str(runtime)),
        *("--control-token-file", str(home.control_token), "--database", str(home.database)),
        *("--ssl-ca-certfile", str(home.authority), "--ssl-certfile", str(home.certificate)),
        *("--ssl-keyfile", str(home.certificate_key), "--isolation", "process", "--enable-supernode-auth"),
        *("--superexec-auth-secret-file", str(home.executor_secret), "--disable-runtime-dependency-installation"),
    )
    supernode = (
        *("--superlink", f"127.0.0.1:{fleet}", "--root-certificates", str(home.authority)),
        *("--auth-supernode-private-key", str(node.key), "--node-id-file", str(node.node_id)),
        *("--isolation", "process", "--port", str(own), "--superexec-auth-secret-file", str(node.secret)),
        *("--node-config", "partition-id=0 num-partitions=1"),
    )
    apps = ("--runtime-api-address", f"127.0.0.1:{own}", "--superexec-auth-secret-file", str(node.secret))
    address, authority = f"127.0.0.1:{control_port}", home.authority.read_bytes()
    with program(home, "superlink", *superlink), Control(address, authority, token) as control:
        wait_for_answer(control)
        node.node_id.write_text(str(control.register(public, "alone")))
        with program(home, "node", *supernode) as first, program(home, "executor", *apps) as executor:
            wait_for_online(control)
            assert executor.poll() is None
            first.kill()
            first.wait()
            killed = time.monotonic()
            with program(home, "node", *supernode) as second:
                while "SuperNode ID" not in (home.root / "node.log").read_text():
                    assert second.poll() is None, (home.root / "node.log").read_text()
                    time.sleep(0.1)
                assert time.monotonic() - killed < 30, "a stock SuperNode is refused until its heartbeat lapses"
