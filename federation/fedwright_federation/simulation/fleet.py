"""A process for each client: the same two halves, joined by a socket that a trusted parent counts.

`main(["server"])` holds no samples, `main(["client", "3"])` those of client 3 alone. A frame is a header (peer, round,
payload length) and the payload; the peer is the receiver in what we send and the sender in what we receive. To a client go
downloads, and at an evaluation round a frame that asks for its personal model: empty, or with the judged model where the
strategy refreshes it. From a client come uploads, or an empty frame where it has none, and its personal model where it was
asked for one. The end of the stream ends a client.
"""

import os
import socket
import struct
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch

from fedwright_crds.box import Box
from fedwright_crds.documents import CandidateCode, JudgeSpec, ServerFacts
from fedwright_federation.algorithm.heads import on_heads
from fedwright_federation.algorithm.model import Model
from fedwright_federation.algorithm.strategy import Strategy
from fedwright_federation.algorithm.tree import Tree
from fedwright_federation.candidates.loader import load_strategy
from fedwright_federation.heads import Heads
from fedwright_federation.models import build_model
from fedwright_federation.simulation.checkpoints import save_tree
from fedwright_federation.simulation.client import Assignment, ClientRuntime
from fedwright_federation.simulation.clock import draw_devices
from fedwright_federation.simulation.memory import ClientMemory
from fedwright_federation.simulation.messages import (
    Download,
    MessageError,
    Upload,
    decode_arrays,
    encode_arrays,
)
from fedwright_federation.simulation.run import RunSpec, Shard, by_period, run_of
from fedwright_federation.simulation.server import RoundReport, ServerRuntime

FRAME = struct.Struct("<IIQ")
SERVER = 0xFFFFFFFF
ASKS = b"FE"
"""How a frame begins that carries a judged model."""
_CHUNK = 1 << 20

Keep: TypeAlias = Callable[[int, Tree], None]
"""Receives the round and the tree that evaluation will look at."""
KeepOwn: TypeAlias = Callable[[int, int, Tree], None]
"""Receives a client, the round and what the client lays over the judged model."""


class Channel:
    """Frames over a connected stream socket."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream

    @classmethod
    def inherited(cls) -> "Channel":
        """The one whose descriptor the environment names."""
        return cls(socket.socket(fileno=int(os.environ["FEDWRIGHT_CHANNEL"])))

    def send(self, peer: int, round_number: int, payload: bytes) -> None:
        self.stream.sendall(FRAME.pack(peer, round_number, len(payload)) + payload)

    def receive(self) -> tuple[int, int, bytes] | None:
        """Peer, round and payload; None at the end of the stream."""
        header = self._read(FRAME.size)
        if header is None:
            return None
        peer, number, length = FRAME.unpack(header)
        payload = self._read(length)
        return None if payload is None else (peer, number, payload)

    def _read(self, length: int) -> bytes | None:
        data = bytearray()
        while len(data) < length:
            chunk = self.stream.recv(min(_CHUNK, length - len(data)))
            if not chunk:
                return None
            data += chunk
        return bytes(data)


def serve(
    strategy: Strategy,
    model: Model,
    run: RunSpec,
    samples: Sequence[int],
    channel: Channel,
    keep: Keep,
    keep_own: KeepOwn | None = None,
) -> list[RoundReport]:
    """The server's side of all rounds. With `keep_own`, clients with models of their own send them to be judged."""
    clients = draw_devices(run.devices, samples, run.seed)
    server = ServerRuntime(strategy, model, run, clients)
    personalised = ClientRuntime(strategy, model, run).personalised
    history = []
    for number in range(1, run.training.rounds + 1):
        downloads = server.configure(number)
        for client, download in downloads.items():
            channel.send(client, number, download.encode())
        answers = _gather(channel, number, set(downloads))
        history.append(server.aggregate(number, {client: _upload(answer) for client, answer in answers.items()}))
        if number in run.checkpoints or number == run.training.rounds:
            judged = server.judged()
            keep(number, judged)
            refreshed = any(strategy.evaluation.refresh(c, run.round(number, server.model)) for c in clients)
            asked = ASKS + encode_arrays(judged) if refreshed else b""
            for one in clients:
                channel.send(one.id, number, asked)
            if keep_own and personalised:
                for client, answer in _gather(channel, number, {one.id for one in clients}).items():
                    keep_own(client, number, _tree(answer))
    return history


def _gather(channel: Channel, number: int, waiting: set[int]) -> dict[int, bytes]:
    """One frame of this round from each client that is waited for, or fewer if the stream ends."""
    answers: dict[int, bytes] = {}
    while waiting:
        frame = channel.receive()
        if frame is None:
            break
        peer, said, payload = frame
        if peer in waiting and said == number:
            waiting.discard(peer)
            answers[peer] = payload
    return answers


def _upload(payload: bytes) -> Upload | None:
    try:
        return Upload.decode(payload) if payload else None
    except MessageError:
        return None


def attend(
    strategy: Strategy,
    model: Model,
    run: RunSpec,
    client: int,
    shard: Callable[[int], Shard],
    channel: Channel,
    keep: Keep,
) -> None:
    """One client's side, until the server falls silent."""
    torch.set_num_threads(1)
    runtime = ClientRuntime(strategy, model, run)
    info = draw_devices(run.devices, [len(shard(1).y)] * run.clients, run.seed)[client]
    memory: ClientMemory | None = None
    while (frame := channel.receive()) is not None:
        _, number, payload = frame
        if not payload or payload.startswith(ASKS):
            judged = _tree(payload[len(ASKS) :]) if payload else runtime.initial
            if runtime.personalised:
                keep(number, runtime.personal(info, judged, shard(number), memory, number))
            continue
        upload, memory = runtime.train(Assignment(info, Download.decode(payload), shard(number), memory))
        channel.send(SERVER, number, upload.encode() if upload else b"")


def _tree(data: bytes) -> Tree:
    return {key: np.asarray(array, dtype=np.float32) for key, array in decode_arrays(data).items()}


def main(argv: Sequence[str]) -> int:
    """`server`, or `client <id>`: inputs `judge.json` and `code.json`, handovers `shards` in and `federated` out."""
    box = Box.here()
    spec = JudgeSpec.model_validate_json(box.input("judge.json").read_bytes())
    code = CandidateCode.model_validate_json(box.input("code.json").read_bytes())
    run, strategy = run_of(spec), load_strategy(code, spec.hyperparameters)
    channel = Channel.inherited()
    if argv[0] == "server":
        _serve(box, spec, strategy, run, channel)
    else:
        client = int(argv[1])
        model, shard = _own_data(box, spec, client)
        strategy = on_heads(strategy, Heads(spec.task.outputs(model.classes)))
        attend(strategy, model, run, client, shard, channel, lambda r, own: channel.send(SERVER, r, encode_arrays(own)))
    channel.stream.close()
    return 0


def _serve(box: Box, spec: JudgeSpec, strategy: Strategy, run: RunSpec, channel: Channel) -> None:
    facts = ServerFacts.model_validate_json((box.received("shards") / "server.json").read_bytes())
    model, folder = build_model(spec.model, facts.input_shape, facts.classes), box.handover("federated")
    strategy = on_heads(strategy, Heads(spec.task.outputs(facts.classes)))

    def keep(number: int, tree: Tree) -> None:
        save_tree(folder, "server", number, tree)

    def keep_own(client: int, number: int, tree: Tree) -> None:
        save_tree(folder, f"client-{client}", number, tree)

    serve(strategy, model, run, facts.samples, channel, keep, keep_own)


def _own_data(box: Box, spec: JudgeSpec, client: int) -> tuple[Model, Callable[[int], Shard]]:
    """`client-<i>.npz`: x, y, classes, and period where data change by round."""
    with np.load(box.received("shards") / f"client-{client}.npz", allow_pickle=False) as file:
        shard = Shard(file["x"], file["y"])
        classes = int(file["classes"])
        period = file["period"] if "period" in file.files else None
    model = build_model(spec.model, shard.x.shape[1:], classes)
    if period is None or spec.task.continual is None:
        return model, lambda _: shard
    return model, by_period(shard, period, spec.task.continual.tasks, spec.rounds)
