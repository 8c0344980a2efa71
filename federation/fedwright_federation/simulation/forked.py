"""A cohort split over forked workers, for cohorts that are much work: each worker runs its clients as one process would.

Workers speak the messages of a federation and hold nothing between rounds: a client's memory goes with its download and
comes back with its upload. They are forked before any tensor is computed, and end with the parent's end of their socket.
"""

import os
import signal
import socket
import struct
import traceback
from collections.abc import Callable, Mapping, Sequence

from fedwright_federation.algorithm.parts import ClientInfo
from fedwright_federation.algorithm.tree import Tree
from fedwright_federation.simulation.client import Assignment, Trained
from fedwright_federation.simulation.memory import ClientMemory
from fedwright_federation.simulation.messages import Download, Upload, decode_arrays, encode_arrays
from fedwright_federation.simulation.run import ShardOf

_LENGTH = struct.Struct("<Q")
_HEAD = struct.Struct("<III")
"""Client, length of the message, length of the memory."""

TrainAll = Callable[[Sequence[Assignment]], Sequence[Trained]]


class WorkerError(RuntimeError):
    """A worker ended in mid-round; what it printed says why."""


class Workers:
    """`count` processes that train a cohort's clients between them, until it is closed."""

    def __init__(self, train: TrainAll, shard: ShardOf, devices: Sequence[ClientInfo], count: int) -> None:
        self._ends: list[socket.socket] = []
        self._children: list[int] = []
        for _ in range(count):
            ours, theirs = socket.socketpair()
            child = os.fork()
            if not child:
                for end in (*self._ends, ours):
                    end.close()
                _work(theirs, train, shard, devices)
            theirs.close()
            self._ends.append(ours)
            self._children.append(child)

    def close(self) -> None:
        """End the workers and wait for them."""
        for end in self._ends:
            end.close()
        for child in self._children:
            os.waitpid(child, 0)
        self._ends, self._children = [], []

    def train(
        self, downloads: Mapping[int, Download], memories: Mapping[int, ClientMemory]
    ) -> tuple[dict[int, Upload | None], dict[int, ClientMemory]]:
        """The cohort's uploads, and the memories that are new. Raises `WorkerError`."""
        shares = [list(downloads)[i :: len(self._ends)] for i in range(len(self._ends))]
        uploads: dict[int, Upload | None] = {}
        fresh: dict[int, ClientMemory] = {}
        try:
            for end, share in zip(self._ends, shares, strict=True):
                _send(end, b"".join(_pack(i, downloads[i].encode(), memories.get(i)) for i in share))
            for client, message, memory in (item for end in self._ends for item in _unpack(_receive(end))):
                uploads[client] = Upload.decode(message) if message else None
                if memory is not None:
                    fresh[client] = memory
        except ConnectionError as error:
            raise WorkerError("a simulation worker ended in mid-round") from error
        return uploads, fresh


def _work(channel: socket.socket, train: TrainAll, shard: ShardOf, devices: Sequence[ClientInfo]) -> None:
    """A worker's life; never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = 1
    try:
        while True:
            jobs = [(i, Download.decode(message), memory) for i, message, memory in _unpack(_receive(channel))]
            given = [Assignment(devices[i], down, shard(i, down.round), memory) for i, down, memory in jobs]
            answers = (
                _pack(one.client.id, done.upload.encode() if done.upload else b"", done.memory)
                for one, done in zip(given, train(given), strict=True)
            )
            _send(channel, b"".join(answers))
    except ConnectionError:
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)


def _pack(client: int, message: bytes, memory: ClientMemory | None) -> bytes:
    kept = encode_arrays(memory.to_tree()) if memory else b""
    return _HEAD.pack(client, len(message), len(kept)) + message + kept


def _unpack(data: bytes) -> list[tuple[int, bytes, ClientMemory | None]]:
    items, at = [], 0
    while at < len(data):
        client, message, kept = _HEAD.unpack_from(data, at)
        middle, end = at + _HEAD.size + message, at + _HEAD.size + message + kept
        memory = ClientMemory.from_tree(_tree(data[middle:end])) if kept else None
        items.append((client, data[at + _HEAD.size : middle], memory))
        at = end
    return items


def _tree(data: bytes) -> Tree:
    return {key: array.astype("float32", copy=False) for key, array in decode_arrays(data).items()}


def _send(channel: socket.socket, data: bytes) -> None:
    channel.sendall(_LENGTH.pack(len(data)) + data)


def _receive(channel: socket.socket) -> bytes:
    """Raises ConnectionError if the other end is gone."""
    return _exactly(channel, _LENGTH.unpack(_exactly(channel, _LENGTH.size))[0])


def _exactly(channel: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        chunk = channel.recv(min(1 << 20, length - len(data)))
        if not chunk:
            raise ConnectionError("the other end is gone")
        data += chunk
    return bytes(data)
