"""A Flower Grid in this process: an app runs on it unmodified, without SuperLink, SuperNode or network.

Clients run one after the other, in the order of their messages, so a run's model is the deployed one's to the last bit.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from itertools import count
from pathlib import Path
from typing import Any

from flwr.app import Context, Error, Message, RecordDict
from flwr.app.message import make_message
from flwr.app.user_config import UserConfig
from flwr.clientapp import ClientApp
from flwr.common.config import get_fused_config_from_dir, get_project_config
from flwr.common.constant import NUM_PARTITIONS_KEY, PARTITION_ID_KEY, SUPERLINK_NODE_ID, ErrorCode
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.object_ref import load_app
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from fedwright_federation.candidates.loader import forget_candidate
from fedwright_federation.packaging.package import APP

FIRST_NODE = 1000
"""Node ids are far from partition ids, so that an app which mixes them up fails."""

NodeConfig = Mapping[str, bool | float | int | str]


class LocalGrid(Grid):
    """Delivers each message at once to the ClientApp of its node. `nodes` are the nodes' configs, by partition."""

    def __init__(self, app: ClientApp, nodes: Sequence[NodeConfig], run_config: UserConfig, run_id: int = 1) -> None:
        self._app, self._run = app, Run.create_empty(run_id=run_id)
        self._names = map("message-{}".format, count(1))
        self._replies: dict[str, Message] = {}
        self._contexts = {
            FIRST_NODE + partition: Context(
                run_id=run_id,
                node_id=FIRST_NODE + partition,
                node_config={PARTITION_ID_KEY: partition, NUM_PARTITIONS_KEY: len(nodes), **config},
                state=RecordDict(),
                run_config=dict(run_config),
            )
            for partition, config in enumerate(nodes)
        }

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        return list(self._contexts)

    def get_nodes(self) -> Iterable[NodeInfo]:
        return [NodeInfo(node_id=node) for node in self._contexts]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return [self._deliver(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._replies.pop(name) for name in list(message_ids) if name in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        del timeout  # there is nothing to wait for
        return self.pull_messages(self.push_messages(messages))

    def _deliver(self, message: Message) -> str:
        name = _name(message, next(self._names))
        context = self._contexts[message.metadata.dst_node_id]
        TaskIdentity.node_id = context.node_id
        try:
            reply = self._app(make_message(message.metadata, _copied(message.content)), context)
        except Exception as problem:  # an app may raise anything, and a SuperNode makes a reply of it
            reason = f"{type(problem)}:<'{problem}'>"
            reply = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)
        TaskIdentity.node_id = SUPERLINK_NODE_ID
        _name(reply, next(self._names))
        self._replies[name] = reply
        return name


def run_on_grid(app_dir: Path, nodes: Sequence[NodeConfig], run_config: UserConfig, run_id: int = 1) -> None:
    """Run the app in that folder to its end. What it makes, it writes where its run config says.

    Its code runs in this process, so this is for a bench box, or for code of our own. Raises what the ServerApp raises.
    """
    with _app_modules():
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, run_id, SUPERLINK_NODE_ID
        parts = get_project_config(app_dir)["tool"]["flwr"]["app"]["components"]
        config = get_fused_config_from_dir(app_dir, run_config)
        server, client = (_load(parts[name], app_dir) for name in ("serverapp", "clientapp"))
        assert isinstance(server, ServerApp) and isinstance(client, ClientApp)
        grid = LocalGrid(client, nodes, config, run_id)
        server(grid, Context(run_id, SUPERLINK_NODE_ID, {}, RecordDict(), dict(config)))


def _load(reference: str, app_dir: Path) -> Any:
    return load_app(reference, RuntimeError, str(app_dir))


@contextmanager
def _app_modules() -> Iterator[None]:
    """Apps share their packages' names: forget an earlier one's before, and this one's afterwards."""
    path = list(sys.path)
    _forget()
    try:
        yield
    finally:
        sys.path[:] = path
        _forget()


def _forget() -> None:
    forget_candidate()
    for name in [name for name in sys.modules if name.partition(".")[0] == APP]:
        del sys.modules[name]


def _copied(content: RecordDict) -> RecordDict:
    """Records of its own for each client; arrays are immutable bytes, and stay shared."""
    return RecordDict({name: copy(record) for name, record in content.items()})


def _name(message: Message, name: str) -> str:
    message.metadata.__dict__["_message_id"] = name
    return name
