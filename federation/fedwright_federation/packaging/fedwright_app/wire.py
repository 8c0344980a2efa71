"""What the app's two sides put into Flower messages: the runtimes' own encoded messages as bytes, and a few numbers.

A small message travels inside one ConfigRecord: Flower makes a request of its own for every record, array and chunk, at each
of three hops. A large one is an ArrayRecord beside it, which Flower cuts into chunks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

HEAD = "head"
QUERY, TRAIN, EVALUATE = "query", "train", "evaluate"
"""Message types. A node answers a query with who it is, the others with what it made and measured."""
INLINE_BYTES = 1 << 20


@dataclass(frozen=True)
class Order:
    """What the server asks of one client in one round."""

    job: str
    round: int
    rounds: int
    clients: int
    since: int
    """The last round that the server took from this client; 0 before the first."""
    download: bytes
    """An encoded Download to train from; empty where nothing is to be trained."""
    judged: bytes = b""
    """An encoded Download that holds the model to measure; empty where it is the one to train from, or none."""

    def pack(self) -> RecordDict:
        numbers = {"round": self.round, "rounds": self.rounds, "clients": self.clients, "since": self.since}
        head = ConfigRecord({"job": self.job, **numbers})
        return _packed(head, {"download": self.download, "judged": self.judged})

    @classmethod
    def unpack(cls, content: RecordDict) -> "Order":
        head = content.config_records[HEAD]
        return cls(
            job=str(head["job"]),
            round=int(str(head["round"])),
            rounds=int(str(head["rounds"])),
            clients=int(str(head["clients"])),
            since=int(str(head["since"])),
            download=_unpacked(content, "download"),
            judged=_unpacked(content, "judged"),
        )


@dataclass(frozen=True)
class Answer:
    """What a client gives back. The measures are of the model that it was sent, its own keys laid over it."""

    upload: bytes
    """An encoded Upload; empty where the client had nothing to send."""
    measures: Mapping[str, float]
    """`rows` held out, and over them `accuracy` and `loss`; empty where nothing was to be measured."""

    def pack(self) -> RecordDict:
        names, values = list(self.measures), list(self.measures.values())
        return _packed(ConfigRecord({"measures": names, "values": values}), {"upload": self.upload})

    @classmethod
    def unpack(cls, content: RecordDict) -> "Answer":
        head = content.config_records[HEAD]
        names, values = head["measures"], head["values"]
        if not (isinstance(names, list) and isinstance(values, list)):
            raise TypeError("an answer names its measures in lists")
        measures = {str(name): float(str(value)) for name, value in zip(names, values, strict=True)}
        return cls(_unpacked(content, "upload"), measures)


def pack_about(partition: int, samples: int, capability: float) -> RecordDict:
    """A node's answer to a query."""
    return RecordDict({HEAD: MetricRecord({"partition": partition, "samples": samples, "capability": capability})})


def unpack_about(content: RecordDict) -> tuple[int, int, float]:
    about = content.metric_records[HEAD]
    return int(str(about["partition"])), int(str(about["samples"])), float(str(about["capability"]))


def _packed(head: ConfigRecord, messages: Mapping[str, bytes]) -> RecordDict:
    content = RecordDict({HEAD: head})
    for name, message in messages.items():
        if len(message) <= INLINE_BYTES:
            head[name] = message
        else:
            content[name] = ArrayRecord({name: Array(np.frombuffer(message, dtype=np.uint8))})
    return content


def _unpacked(content: RecordDict, name: str) -> bytes:
    if name in content.array_records:
        return content.array_records[name][name].numpy().tobytes()
    inline = content.config_records[HEAD][name]
    if not isinstance(inline, bytes):
        raise TypeError(f"{name} is no message")
    return inline
