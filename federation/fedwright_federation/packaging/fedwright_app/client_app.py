"""The node's side: answer the server's orders with this node's data and memory. Nothing is kept in the process."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from fedwright_federation.algorithm.heads import own_part
from fedwright_federation.algorithm.parts import ClientInfo
from fedwright_federation.algorithm.tree import Tree
from fedwright_federation.simulation.client import Assignment, ClientRuntime
from fedwright_federation.simulation.memory import ClientMemory
from fedwright_federation.simulation.messages import Download

from . import wire
from .data import NodeData, load
from .device import device_of, somewhere
from .logs import log
from .measures import measure
from .memory import Diary
from .settings import Setup, read_settings, set_up
from .wire import Answer, Order

app = ClientApp()
Kind = TypeVar("Kind", bound=np.generic)
torch.set_num_threads(1)


@app.query()
def query(message: Message, context: Context) -> Message:
    """Who this node is, for a server that knows it by a random number only."""
    config = context.node_config
    device_of(config)  # a node that cannot do its work says so before the first round
    client = _client(config, load(config, read_settings()))
    return Message(wire.pack_about(client.id, client.samples, client.capability), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """One round: measure the model that came, train from it, remember, and send what the strategy sends."""
    return somewhere(device_of(context.node_config), lambda device: _train(message, context, device))


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Measure a model, and nothing else."""
    return somewhere(device_of(context.node_config), lambda device: _evaluate(message, context, device))


def _train(message: Message, context: Context, device: torch.device) -> Message:
    visit = Visit.of(message, context, device)
    order = visit.order
    download = _read(order.download)
    measures = visit.measures(_read(order.judged) if order.judged else download)
    trained = visit.runtime.train(Assignment(visit.client, download, visit.data.train, visit.memory))
    if trained.memory is not None:
        visit.diary.keep(order.round, trained.memory, order.since)
    upload = trained.upload.encode() if trained.upload else b""
    log("trained", job=order.job, round=order.round, client=visit.client.id, sent_bytes=len(upload), device=str(device))
    return Message(Answer(upload, measures).pack(), reply_to=message)


def _evaluate(message: Message, context: Context, device: torch.device) -> Message:
    visit = Visit.of(message, context, device)
    return Message(Answer(b"", visit.measures(_read(visit.order.judged))).pack(), reply_to=message)


@dataclass(frozen=True)
class Visit:
    """All that an order finds at its node."""

    order: Order
    setup: Setup
    client: ClientInfo
    data: NodeData
    runtime: ClientRuntime
    diary: Diary
    memory: ClientMemory | None

    @classmethod
    def of(cls, message: Message, context: Context, device: torch.device) -> "Visit":
        order = Order.unpack(message.content)
        folder = Path(str(context.node_config["state-dir"])) / order.job
        setup = set_up(order.rounds, order.clients, folder)
        data = load(context.node_config, setup.settings)
        diary = Diary(folder)
        runtime = ClientRuntime(setup.strategy, setup.model, setup.run, device)
        client = _client(context.node_config, data)
        return cls(order, setup, client, data, runtime, diary, diary.recall(order.since))

    def measures(self, download: Download) -> dict[str, float]:
        """Of the model that the last round left; nothing before the first round."""
        number = self.order.round - 1 if self.order.download else self.order.round
        if number == 0:
            return {}
        whole: Tree = {
            **self.runtime.initial,
            **{key: v.astype(np.float32, copy=False) for key, v in download.model.items()},
        }
        own = self.runtime.personal(self.client, whole, self.data.train, self.memory, number)
        model = own_part(self.setup.heads, self.runtime.model, whole, self.client.id)
        return measure(
            self.setup.strategy, self.runtime.model, {**model, **own}, self.data.held_out, self.runtime.device
        )


def _client(config: Mapping[str, object], data: NodeData) -> ClientInfo:
    number, capability = int(str(config["partition-id"])), float(str(config.get("capability", 1.0)))
    return ClientInfo(number, len(data.train.y), capability=capability)


def _read(message: bytes) -> Download:
    """With arrays of its own, as the tensors over them must be writable."""
    download = Download.decode(message)
    published = {name: _owned(tree) for name, tree in download.published.items()}
    return replace(download, model=_owned(download.model), published=published)


def _owned(arrays: Mapping[str, NDArray[Kind]]) -> dict[str, NDArray[Kind]]:
    return {key: array.copy() for key, array in arrays.items()}
