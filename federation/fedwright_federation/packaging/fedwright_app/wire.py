"""What the app's two sides put into Flower messages: the runtimes' own encoded messages as bytes, and a few numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

ORDER, ANSWER = "order", "answer"
QUERY, TRAIN, EVALUATE = "query", "train", "evaluate"
"""Message types. A node answers a query with who it is, the others with what it made and measured."""


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
        return RecordDict(
            {
                ORDER: ConfigRecord({"job": self.job, **numbers}),
                "download": _pack(self.download),
                "judged": _pack(self.judged),
            }
        )

    @classmethod
    def unpack(cls, content: RecordDict) -> "Order":
        order, arrays = content.config_records[ORDER], content.array_records
        return cls(
            job=str(order["job"]),
            round=_number(order, "round"),
            rounds=_number(order, "rounds"),
            clients=_number(order, "clients"),
            since=_number(order, "since"),
            download=_unpack(arrays["download"]),
            judged=_unpack(arrays["judged"]),
        )


@dataclass(frozen=True)
class Answer:
    """What a client gives back. The measures are of the model that it was sent, its own keys laid over it."""

    upload: bytes
    """An encoded Upload; empty where the client had nothing to send."""
    measures: Mapping[str, float]
    """`rows` held out, and over them `accuracy` and `loss`; empty where nothing was to be measured."""

    def pack(self) -> RecordDict:
        return RecordDict({ANSWER: MetricRecord(dict(self.measures)), "upload": _pack(self.upload)})

    @classmethod
    def unpack(cls, content: RecordDict) -> "Answer":
        measures = {name: float(str(value)) for name, value in content.metric_records[ANSWER].items()}
        return cls(_unpack(content.array_records["upload"]), measures)


def _pack(message: bytes) -> ArrayRecord:
    return ArrayRecord({"bytes": Array(np.frombuffer(message, dtype=np.uint8))})


def _unpack(record: ArrayRecord) -> bytes:
    return record["bytes"].numpy().tobytes()


def _number(record: ConfigRecord, name: str) -> int:
    return int(str(record[name]))
