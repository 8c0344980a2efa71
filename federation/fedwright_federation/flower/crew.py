"""The processes of one federation: what each is started with, and which live and die together."""

import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from fedwright_federation.flower import executor, node, superlink
from fedwright_federation.flower.control import Control
from fedwright_federation.flower.executor import Endpoint
from fedwright_federation.flower.home import Home
from fedwright_federation.flower.node import Link
from fedwright_federation.flower.node_data import NodeSetting
from fedwright_federation.flower.processes import spawn
from fedwright_federation.flower.superlink import Doors
from fedwright_federation.flower.supervision import Start, Unit

HOST = "127.0.0.1"
RESULTS_VARIABLE = "FEDWRIGHT_RESULTS"
PRELOADED = (
    "flwr.superlink.main",
    "flwr.supernode.main",
    "flwr.clientapp",
    "flwr.serverapp",
    "flwr.supercore.superexec.run_superexec",
    "flwr.supernode.start_client_internal",
    "fedwright_federation.packaging.fedwright_app.server_app",
    "fedwright_federation.packaging.fedwright_app.client_app",
    "fedwright_federation.strategies",
)
"""What the processes would import by themselves, each for itself."""


@dataclass(frozen=True)
class Crew:
    """Makes a federation's units. `doors` stay open in the SuperLink alone; every other process closes them."""

    home: Home
    doors: Doors

    def superlink(self) -> Unit:
        return Unit("superlink", self._superlink)

    def server_apps(self) -> Unit:
        return Unit("serverapp", self._server_apps)

    def node(self, setting: NodeSetting, node_id: int) -> Unit:
        """A SuperNode and its executor: a SuperNode whose executor is lost would wait for it, so both start anew."""
        return Unit(setting.name, partial(self._node, setting, node_id))

    def _superlink(self) -> dict[str, Start]:
        home = self.home
        flags = (
            *("--ssl-ca-certfile", str(home.authority)),
            *("--ssl-certfile", str(home.certificate)),
            *("--ssl-keyfile", str(home.certificate_key)),
            *("--isolation", "process"),
            *("--superexec-auth-secret-file", str(home.executor_secret)),
            *("--database", str(home.database)),
            "--enable-supernode-auth",
            "--disable-runtime-dependency-installation",
        )

        def serve() -> None:
            superlink.serve(flags, self.doors, home.control_token.read_text())

        return {"superlink": self._start("superlink", serve)}

    def _server_apps(self) -> dict[str, Start]:
        endpoint = Endpoint(self.doors.addresses[2], self.home.executor_secret, self.home.authority)
        results = {RESULTS_VARIABLE: str(self.home.results)}

        def serve() -> None:
            stop_orphans(self.home, self.doors.addresses[1])
            self.doors.close()
            executor.serve(endpoint)

        return {"serverapp": self._start("serverapp", serve, results)}

    def _node(self, setting: NodeSetting, node_id: int) -> dict[str, Start]:
        home, port = self.home.node(setting.number), _free_port()
        flags = (
            *("--isolation", "process"),
            *("--host", HOST, "--port", str(port)),
            *("--superexec-auth-secret-file", str(home.secret)),
            *("--node-config", setting.config),
        )
        link = Link(self.doors.addresses[0], self.home.authority, home.key)
        endpoint = Endpoint(f"{HOST}:{port}", home.secret)
        apps = f"{setting.name}-apps"
        return {
            setting.name: self._start(setting.name, self._behind(partial(node.serve, flags, link, node_id))),
            apps: self._start(apps, self._behind(partial(executor.serve, endpoint))),
        }

    def _behind(self, serve: Callable[[], None]) -> Callable[[], None]:
        def body() -> None:
            self.doors.close()
            serve()

        return body

    def _start(self, name: str, serve: Callable[[], None], environment: dict[str, str] | None = None) -> Start:
        flower = self.home.flower(name)

        def body() -> None:
            shutil.rmtree(flower, ignore_errors=True)  # an app whose installation was cut short would stay so
            flower.mkdir(parents=True)
            serve()

        return lambda: spawn(name, body, self.home.log(name), {"FLWR_HOME": str(flower), **(environment or {})})


def stop_orphans(home: Home, control_address: str) -> None:
    """End runs whose ServerApp went down with an earlier executor; the SuperLink would wait a minute for their heartbeat."""
    with Control(control_address, home.authority.read_bytes(), home.control_token.read_text()) as control:
        for run in control.runs():
            if run.status in {"starting", "running"}:
                control.stop(run.id)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
