"""Flower's own simulation: a SuperLink with the Ray backend, and `flwr run` of a packaged app on it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

ENTRY = '''"""Tells each simulated node where its rows are; a deployed node knows it from its own config."""

from fedwright_app.client_app import app as packaged
from flwr.app import Context, Message
from flwr.clientapp import ClientApp


class Placed(ClientApp):
    def __call__(self, message: Message, context: Context) -> Message:
        node = int(context.node_config["partition-id"])
        context.node_config["data-path"] = f"{FOLDER}/{node}.npz"
        context.node_config["state-dir"] = f"{FOLDER}/state-{node}"
        return packaged(message, context)


app = Placed()
'''
LONGEST_SECONDS = 300.0


class RayBackend:
    """A SuperLink in a folder of its own; `seconds` measures one run after another on it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bin = Path(sys.executable).parent
        self._runs = 0

    def __enter__(self) -> "RayBackend":
        self._folder.mkdir(parents=True)
        port = _free_port()
        (self._folder / "config.toml").write_text(
            f'[superlink]\ndefault = "bench"\n\n[superlink.bench]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
        )
        command = [str(self._bin / "flower-superlink"), "--insecure", "--simulation", "--port", str(port)]
        command += ["--disable-runtime-dependency-installation"]
        log = (self._folder / "superlink.log").open("wb")
        self._superlink = subprocess.Popen(
            command, env=self._environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
        _wait(lambda: _answers(port), "the SuperLink", 60)
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._superlink.pid, signal.SIGTERM)
        try:
            self._superlink.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._superlink.pid, signal.SIGKILL)
            self._superlink.wait()

    def seconds(self, app: Mapping[str, bytes], nodes: Sequence[Mapping[str, object]], clients: int) -> float:
        """From `flwr run` to the trained model, after one run that warms the SuperLink up."""
        self._run(app, nodes, clients)
        return self._run(app, nodes, clients)

    def _run(self, app: Mapping[str, bytes], nodes: Sequence[Mapping[str, object]], clients: int) -> float:
        self._runs += 1
        folder, out = self._folder / f"app-{self._runs}", self._folder / f"out-{self._runs}"
        _write(folder, app, nodes)
        config = f"job='run{self._runs}' clients={clients} out-dir='{out}'"
        command = [str(self._bin / "flwr"), "run", str(folder), "bench", "--run-config", config]
        command += ["--federation-config", f"num-supernodes={clients} client-resources-num-cpus=1"]
        began = time.monotonic()
        subprocess.run(command, env=self._environment(), check=True, capture_output=True, stdin=subprocess.DEVNULL)
        _wait(lambda: (out / f"run{self._runs}" / "model.npz").exists(), "the run", LONGEST_SECONDS)
        return time.monotonic() - began

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self._bin}:/usr/bin:/bin",
            "HOME": str(self._folder),
            "FLWR_HOME": str(self._folder),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
        }


def _write(folder: Path, app: Mapping[str, bytes], nodes: Sequence[Mapping[str, object]]) -> None:
    data = folder.with_name(f"{folder.name}-data")
    for path, content in app.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    project = folder / "pyproject.toml"
    project.write_text(project.read_text().replace("fedwright_app.client_app:app", "placed:app"))
    (folder / "placed.py").write_text(ENTRY.replace("{FOLDER}", str(data)))
    data.mkdir()
    for number, arrays in enumerate(nodes):
        np.savez(data / f"{number}.npz", allow_pickle=False, **arrays)  # type: ignore[arg-type]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


def _wait(until, what: str, seconds: float) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            raise SystemExit(f"{what} took longer than {seconds:g} s")
        time.sleep(0.05)
