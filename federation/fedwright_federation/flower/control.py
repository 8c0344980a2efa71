"""A client of the SuperLink's Control API: nodes and runs. It needs the federation's token; nodes do not have it."""

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import httpx
from flwr.common.serde import fab_to_proto, user_config_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    StreamLogsRequest,
    UnregisterNodeRequest,
)
from flwr.proto.run_pb2 import Run as RunProto
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext

ANSWER_SECONDS = 10.0
Setting = bool | float | int | str


@dataclass(frozen=True)
class Node:
    """A registered node. `status` is registered, online, offline or unregistered; online lags behind a hard end."""

    id: int
    public_key: bytes
    status: str


@dataclass(frozen=True)
class Run:
    """A run. `status` is pending, starting, running or finished; then `outcome` is completed, failed or stopped."""

    id: int
    fab: str
    """SHA-256 of the bundle, hexadecimal."""
    settings: Mapping[str, Setting]
    status: str
    outcome: str
    details: str

    @property
    def finished(self) -> bool:
        return self.status == "finished"


class RefusedError(Exception):
    """The SuperLink does not accept what was asked."""


class _Bearer:
    """Adds the federation's token to each request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        context.request.headers["authorization"] = f"Bearer {self._token}"
        return call_next(context)


class Control:
    """Calls raise httpx.TransportError while the SuperLink is away, httpx.HTTPStatusError where it refuses."""

    def __init__(self, address: str, authority: bytes, token: str, seconds: float = ANSWER_SECONDS) -> None:
        context = ssl.create_default_context(cadata=authority.decode())
        self._client = ControlHttpClient(
            f"https://{address}",
            interceptors=[RuntimeVersionHttpInterceptor(component_name="flwr CLI"), _Bearer(token)],
            verify=context,
            timeout=seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def nodes(self) -> list[Node]:
        found = self._client.ListNodes(ListNodesRequest()).nodes_info
        return [Node(one.node_id, bytes(one.public_key), one.status) for one in found]

    def register(self, public_key: bytes, name: str) -> int:
        """The node's id; a key that is known keeps its own."""
        known = {node.public_key: node.id for node in self.nodes() if node.status != "unregistered"}
        if public_key in known:
            return known[public_key]
        return int(self._client.RegisterNode(RegisterNodeRequest(public_key=public_key, name=name)).node_id)

    def strike_off(self, node: int) -> None:
        """The node is refused from now on, and its key for ever."""
        self._client.UnregisterNode(UnregisterNodeRequest(node_id=node))

    def start(self, bundle: bytes, settings: Mapping[str, Setting]) -> int:
        """Start a Flower app bundle. The settings override the app's own run config."""
        fab = Fab(hashlib.sha256(bundle).hexdigest(), bundle, {})
        answer = self._client.StartRun(
            StartRunRequest(fab=fab_to_proto(fab), override_config=user_config_to_proto(dict(settings)))
        )
        if not answer.HasField("run_id"):
            raise RefusedError(f"the SuperLink did not start the run: {answer.note or 'it gave no reason'}")
        return int(answer.run_id)

    def runs(self) -> list[Run]:
        """The latest runs, newest first."""
        found = [_run(run) for run in self._client.ListRuns(ListRunsRequest(limit=1000)).run_dict.values()]
        return [run for _, run in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def run(self, run: int) -> Run:
        return _run(self._client.ListRuns(ListRunsRequest(run_id=run)).run_dict[run])[1]

    def logs(self, run: int) -> str:
        """What a finished run's ServerApp printed; of a running one this waits for the end."""
        parts = self._client.StreamLogs(StreamLogsRequest(run_id=run, after_timestamp=0.0))
        return "".join(part.log_output for part in parts)

    def stop(self, run: int) -> None:
        self._client.StopRun(StopRunRequest(run_id=run))


def _run(proto: RunProto) -> tuple[str, Run]:
    settings = {key: getattr(value, value.WhichOneof("scalar")) for key, value in proto.override_config.items()}
    status = proto.status
    run = Run(proto.run_id, proto.fab_hash, settings, status.status, status.sub_status, status.details)
    return proto.pending_at, run
