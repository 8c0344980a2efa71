"""Reads what the last container of a pod delivered: outputs in its last message, or in its log and named by the message.

Both are bytes that anyone may have written. Nothing comes out of it but declared outputs, each no larger than its
greatest size and with the digest that the message names; anything else is a DeliveryError.
"""

import base64
import binascii
import zlib
from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from fedwright_boxes.pod.contract import (
    DELIVERED_BYTES,
    LINE_LETTERS,
    DeliveredOutput,
    DeliveryEnd,
    DeliveryHead,
    DeliveryNote,
)
from fedwright_crds.base import digest_of
from fedwright_crds.work import Output, Work

LOG_BYTES = DELIVERED_BYTES * 3 // 2
"""Read so much of the log: a whole delivery is shorter."""
_HEAD_BYTES = 512


class DeliveryError(Exception):
    """What was delivered is not whole, or not what the work may deliver."""


def told(message: str, work: Work) -> dict[str, bytes] | None:
    """The outputs by name if the last container's termination message holds them all, so that the log need not be read.
    Raises DeliveryError."""
    noted = _noted(message, _declared(work))
    if any(one.content is None for one in noted.values()):
        return None
    return {name: _content(name, one) for name, one in noted.items()}


def _content(name: str, output: DeliveredOutput) -> bytes:
    try:
        packed = base64.b64decode(output.content or "", validate=True)
        content = zlib.decompressobj().decompress(packed, output.bytes + 1)  # however much it would grow to
    except (binascii.Error, ValueError, zlib.error):
        raise DeliveryError(f"the last message holds something else than output {name}") from None
    if len(content) != output.bytes or digest_of(content) != output.digest:
        raise DeliveryError(f"the last message holds other bytes of output {name} than it says")
    return content


def read(log: bytes, message: str, work: Work) -> dict[str, bytes]:
    """The outputs by name, from the log and the last container's termination message. Raises DeliveryError."""
    noted = {name: (one.digest, one.bytes) for name, one in _noted(message, _declared(work)).items()}
    if len(log) > LOG_BYTES:
        raise DeliveryError(f"the log is longer than any delivery, which has at most {LOG_BYTES} bytes")
    lines = _Lines(log)
    outputs: dict[str, bytes] = {}
    while (head := lines.head()) is not None:
        if head.name in outputs or noted.get(head.name) != (head.digest, head.bytes):
            raise DeliveryError(
                "the log holds an output that the message does not name, or names otherwise, or one twice"
            )
        outputs[head.name] = lines.content(head)
    if outputs.keys() != noted.keys():
        raise DeliveryError("the log lacks an output that the message names")
    return outputs


def largest(message: str, work: Work) -> int:
    """Bytes of the largest output that the message names, before anything is read. Raises DeliveryError."""
    return max((one.bytes for one in _noted(message, _declared(work)).values()), default=0)


def _declared(work: Work) -> dict[str, Output]:
    """Outputs that some step has."""
    left = {name for step in work.steps for name in step.outputs}
    return {one.name: one for one in work.outputs if one.name in left}


def _noted(message: str, declared: Mapping[str, Output]) -> dict[str, DeliveredOutput]:
    """What the message names, if the work may deliver it."""
    if not message.isascii():
        raise DeliveryError("the last message is not ASCII")
    try:
        note = DeliveryNote.model_validate_json(message)
    except ValidationError:
        raise DeliveryError("the last message is no note of a delivery") from None
    if note.error:
        raise DeliveryError("the last message says that nothing was delivered")
    for name, output in note.outputs.items():
        if name not in declared:
            raise DeliveryError("the last message names an output that no step of the work has")
        if output.bytes > declared[name].max_bytes:
            raise DeliveryError(f"output {name} has {output.bytes} bytes and may have {declared[name].max_bytes}")
    if sum(output.bytes for output in note.outputs.values()) > DELIVERED_BYTES:
        raise DeliveryError(f"the outputs have more than {DELIVERED_BYTES} bytes together")
    for name, one in declared.items():
        if one.required and name not in note.outputs:
            raise DeliveryError(f"the required output {name} was not delivered")
    return note.outputs


class _Lines:
    """The log, line by line."""

    def __init__(self, log: bytes) -> None:
        self._lines = self._split(log)
        self._heads = 0

    @staticmethod
    def _split(log: bytes) -> Iterator[bytes]:
        """Whole lines; a split of all at once would make an object for each byte of a log of line ends."""
        start = 0
        while (end := log.find(b"\n", start)) >= 0:
            yield log[start:end]
            start = end + 1
        if start < len(log):
            raise DeliveryError("the log ends within a line")

    def _next(self) -> bytes:
        line = next(self._lines, None)
        if line is None:
            raise DeliveryError("the log ends before the delivery does")
        return line

    def head(self) -> DeliveryHead | None:
        """Of the next output; None where the delivery ends, and the log with it."""
        line = self._next()
        if len(line) > _HEAD_BYTES:
            raise DeliveryError("a line before an output is too long")
        try:
            head = DeliveryHead.model_validate_json(line)
        except ValidationError:
            self._end(line)
            return None
        self._heads += 1
        return head

    def _end(self, line: bytes) -> None:
        try:
            end = DeliveryEnd.model_validate_json(line)
        except ValidationError:
            raise DeliveryError("a line of the log is neither the head of an output nor the end") from None
        if end.end != self._heads or next(self._lines, None) is not None:
            raise DeliveryError("the log goes on after its end, or lacks an output")

    def content(self, head: DeliveryHead) -> bytes:
        """The bytes that follow a head, as many as it says."""
        letters: list[bytes] = []
        left = -(-head.bytes // 3) * 4
        while line := self._next():
            left -= len(line)
            if left < 0 or len(line) > LINE_LETTERS:
                raise DeliveryError(f"output {head.name} is longer than its head says")
            letters.append(line)
        try:
            content = base64.b64decode(b"".join(letters), validate=True)
        except (binascii.Error, ValueError):
            raise DeliveryError(f"output {head.name} is no base64") from None
        if len(content) != head.bytes or digest_of(content) != head.digest:
            raise DeliveryError(f"output {head.name} has other bytes than its head says")
        return content
