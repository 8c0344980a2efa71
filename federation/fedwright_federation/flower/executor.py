"""`flower-superexec` that forks its ServerApps and ClientApps from a process in which everything is imported.

A stock SuperExec starts a new interpreter for every message, two to four seconds with torch. Here a message costs a fork.
The one thing of Flower that is replaced, in this process only, is which executor `run_superexec` gets. Run as a program it
takes some of `flower-superexec`'s flags.
"""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
from flwr.common.constant import SubStatus
from flwr.proto.runtime_pb2 import PushTaskOutputRequest
from flwr.supercore.auth import load_superexec_auth_secret
from flwr.supercore.constant import TaskType
from flwr.supercore.exit.exit_handler import registered_exit_handlers
from flwr.supercore.interceptors import RuntimeTokenHttpInterceptor, RuntimeVersionHttpInterceptor
from flwr.supercore.logger import mirror_output_to_queue
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.superexec.executor.subprocess_executor import SubprocessExecutor
from flwr.supercore.superexec.executor.types import ExecutionSpec, LaunchResult
from flwr.supercore.tls import validate_and_resolve_root_certificates
from flwr.superlink.runtime import run_serverapp
from flwr.supernode.runtime.run_clientapp import run_clientapp

from fedwright_federation.flower.haste import hasten_objects
from fedwright_federation.flower.processes import reap, signal_group, spawn

POLL_SECONDS = 0.2
POLL_VARIABLE = "FLWR_SUPEREXEC_TASK_POLL_INTERVAL"
LOST_CLIENT_APP = 70
"""Exit status of an executor whose ClientApp died without a word."""


@dataclass(frozen=True)
class Endpoint:
    """A Runtime API: the SuperLink's, for ServerApps, or a SuperNode's, for ClientApps."""

    address: str
    secret: Path
    authority: Path | None = None
    """Certificate to check a TLS endpoint with; without it the endpoint is on loopback and speaks plainly."""


class ForkExecutor(SubprocessExecutor):
    """Runs each app in a fork of this process."""

    def __init__(self) -> None:
        self._running: dict[int, ExecutionSpec] = {}

    def launch(self, spec: ExecutionSpec) -> LaunchResult:
        bodies = {TaskType.SERVER_APP: _serve_app, TaskType.CLIENT_APP: _client_app}
        if spec.task_type not in bodies:
            return LaunchResult.failed(f"this executor runs no {spec.task_type}")
        body = bodies[spec.task_type]
        self._running[spawn(spec.task_type, lambda: _on_its_own(body, spec))] = spec
        return LaunchResult.accepted()

    def reconcile(self) -> None:
        """Look after apps that ended. One that ends by itself has reported; one that was killed has not."""
        for pid, spec in list(self._running.items()):
            status = reap(pid)
            if status is not None:
                del self._running[pid]
                if status < 0:
                    _report_loss(spec, -status)

    def close(self) -> None:
        for pid in self._running:
            signal_group(pid, signal.SIGKILL)


def serve(endpoint: Endpoint) -> None:
    """Take tasks from the endpoint and run them, for ever."""
    hasten_objects()
    os.environ.setdefault(POLL_VARIABLE, str(POLL_SECONDS))
    module = importlib.import_module("flwr.supercore.superexec.run_superexec")
    replaced: Any = module
    replaced.get_executor = lambda *_args, **_options: ForkExecutor()
    module.run_superexec(
        runtime_api_address=endpoint.address,
        insecure=endpoint.authority is None,
        root_certificates_path=str(endpoint.authority) if endpoint.authority else None,
        superexec_auth_secret=load_superexec_auth_secret(secret_file=str(endpoint.secret)),
    )


def _on_its_own(body: Callable[[ExecutionSpec], None], spec: ExecutionSpec) -> None:
    """What this executor does at its end, which is to kill all apps, is not for an app to do at its own."""
    registered_exit_handlers.clear()
    body(spec)


def _client_app(spec: ExecutionSpec) -> None:
    run_clientapp(
        runtime_api_address=spec.runtime_api_address,
        token=spec.token,
        insecure=spec.insecure,
        certificates=_authority(spec),
        parent_pid=spec.parent_pid,
    )


def _serve_app(spec: ExecutionSpec) -> None:
    words: Queue[str | None] = Queue()
    mirror_output_to_queue(words)
    run_serverapp(
        runtime_api_address=spec.runtime_api_address,
        log_queue=words,
        token=spec.token,
        insecure=spec.insecure,
        certificates=_authority(spec),
        parent_pid=spec.parent_pid,
    )


def _report_loss(spec: ExecutionSpec, number: int) -> None:
    """Say at once what Flower finds out by a missing heartbeat, a minute later.

    A SuperLink takes word of a lost ServerApp. A SuperNode takes none of a lost ClientApp: this executor ends instead, and
    whoever supervises it starts it and its SuperNode anew.
    """
    name = signal.Signals(number).name
    print(f"{spec.task_type} {spec.task_id} was ended by {name}", file=sys.stderr, flush=True)
    if spec.task_type is TaskType.CLIENT_APP:
        sys.exit(LOST_CLIENT_APP)
    client = RuntimeHttpClient.from_server_address(
        server_address=spec.runtime_api_address,
        insecure=spec.insecure,
        root_certificates=_authority(spec),
        interceptors=[
            RuntimeVersionHttpInterceptor(component_name="SuperExec"),
            RuntimeTokenHttpInterceptor(spec.token),
        ],
    )
    with client, suppress(httpx.HTTPError):
        client.PushTaskOutput(
            PushTaskOutputRequest(sub_status=SubStatus.FAILED, details=f"the ServerApp was ended by {name}")
        )


def _authority(spec: ExecutionSpec) -> bytes | None:
    return validate_and_resolve_root_certificates(spec.root_certificates_path, spec.insecure)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--runtime-api-address", required=True)
    parser.add_argument("--root-certificates", type=Path, help="without it the connection is plain")
    parser.add_argument("--superexec-auth-secret-file", type=Path, required=True)
    parser.add_argument("--preload", action="append", default=[], help="a module that the apps import")
    given = parser.parse_args(argv)
    for module in given.preload:
        importlib.import_module(module)
    serve(Endpoint(given.runtime_api_address, given.superexec_auth_secret_file, given.root_certificates))
    return 0


if __name__ == "__main__":
    sys.exit(main())
