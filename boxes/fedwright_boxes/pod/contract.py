"""What the launcher in a pod and whoever makes the pod agree on: places, exit codes, and what the last message says.

Imported by both sides, so it knows neither how a cell is locked in nor what a manifest looks like.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from fedwright_crds.base import Digest, Strict, Text, Word
from fedwright_crds.work import MIB, BoxKind, Reason, Verdict

LAUNCH = "fedwright_boxes.pod.launch"
"""`python -I -B -m LAUNCH <step> [--probe HOST:PORT ...]` is the command of a step's container."""
DELIVER = "fedwright_boxes.pod.deliver"
"""`python -I -B -m DELIVER` is the command of the last container."""

SHARED = PurePosixPath("/fedwright")
"""All that containers of one pod mount; no cell reads or writes below it."""
WORK = SHARED / "work" / "work.json"
IN = SHARED / "in"
"""`IN/<input>/NNN`: the bytes of an input in chunks, see `chunk_name`."""
SECRET = SHARED / "secret"
FROM = SHARED / "from"
TO = SHARED / "to"
OUT = SHARED / "out"
"""`OUT/<output>` in a step's container; `OUT/<step>/<output>` in the last one."""
BOX = PurePosixPath("/box")
"""An empty folder in memory, of one step alone, below which its cells have their boxes."""
TERMINATION_LOG = PurePosixPath("/dev/termination-log")

MESSAGE_BYTES = 4096
"""What is left of a container's last message when it is longer."""
MESSAGES_BYTES = 12 * 1024
"""What is left of all last messages of a pod, an equal part for each of its containers."""
MOST_CONTAINERS = 9
"""Of a pod: the steps that a work may have, and the one that delivers."""
DELIVERED_BYTES = 6 * MIB
"""Most that all outputs of a work may have together: they travel by a log that is cut at 10 MiB."""
LINE_LETTERS = 8000
"""Most letters of base64 in one line of the delivery."""
PROBE_SECONDS = 0.5
LAST_SECONDS = 1
"""What a launcher that is told to end has for its last words before it is killed."""
GRACE_SECONDS: Mapping[BoxKind, int] = {BoxKind.PLATFORM: 10}
"""What programs of ours have beside that, to leave things in order; all others are killed at once."""

EXIT_CODES: Mapping[Reason, int] = {
    Reason.COMPLETED: 0,
    Reason.CRASHED: 65,
    Reason.KILLED_BY_SIGNAL: 66,
    Reason.DEADLINE_EXCEEDED: 70,
    Reason.OUTPUT_FLOOD: 71,
    Reason.OUT_OF_MEMORY: 72,
    Reason.BAD_OUTPUT: 73,
    Reason.NO_SANDBOX: 77,
    Reason.PLATFORM: 78,
}


class Ending(Strict):
    """How a step's container ended: the one document in its termination log."""

    verdict: Verdict
    message: Text = ""
    """Why the work ends here, '' if it goes on."""


class DeliveredOutput(Strict):
    """One output of the work."""

    digest: Digest
    bytes: Annotated[int, Field(ge=0, le=DELIVERED_BYTES)]
    content: Annotated[str, StringConstraints(max_length=MESSAGE_BYTES)] | None = None
    """Base64 of its zlib stream, where all outputs are small enough for the message."""


class DeliveryNote(Strict):
    """What the last container delivered, or why not; its log has the outputs too. The one document in its termination log."""

    outputs: dict[Word, DeliveredOutput] = Field(default_factory=dict)
    error: Annotated[str, StringConstraints(max_length=2000)] = ""


class DeliveryHead(Strict):
    """The line before the base64 of an output; an empty line follows that, and `DeliveryEnd` follows the last."""

    name: Word
    digest: Digest
    bytes: Annotated[int, Field(ge=0, le=DELIVERED_BYTES)]


class DeliveryEnd(Strict):
    end: Annotated[int, Field(ge=0)]
    """How many outputs were delivered."""


def chunk_name(number: int) -> str:
    """The file of a chunk: `000`, `001`, ... In this order they are the bytes of the input."""
    return f"{number:03}"


def message_room(containers: int) -> int:
    """Bytes that are kept of each last message in a pod of so many containers."""
    return min(MESSAGE_BYTES, MESSAGES_BYTES // containers)


def stop_seconds(boxes: Iterable[BoxKind]) -> int:
    """How long a pod with steps of these kinds may take to end when it is told to."""
    return LAST_SECONDS + max(GRACE_SECONDS.get(box, 0) for box in boxes)


def ending_bytes(ending: Ending, most: int = MESSAGE_BYTES) -> bytes:
    """ASCII, at most `most` bytes and always the whole of a document: the printed text loses its start first."""
    return _fitting(
        most,
        lambda room: _json(
            Ending(
                verdict=ending.verdict.model_copy(update={"text": _end_of(ending.verdict.text, room)}),
                message=_start_of(ending.message, max(room, _LEAST_MESSAGE)),
            ).to_wire()
        ),
    )


def note_bytes(note: DeliveryNote, most: int = MESSAGE_BYTES) -> bytes:
    """As `ending_bytes`; raises `ValueError` where the work has more outputs than one message can name."""
    if note.error:
        return _fitting(most, lambda room: _json({"error": _start_of(note.error, room)}))
    written = _json({"outputs": note.to_wire()["outputs"]})
    if len(written) > most:
        raise ValueError(f"{len(note.outputs)} outputs are more than one message of {most} bytes can name")
    return written


_LEAST_MESSAGE = 512
"""Room that a message has whatever was printed, in letters of JSON."""


def _json(wire: Mapping[str, Any]) -> bytes:
    return json.dumps(wire, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _fitting(most: int, write: Callable[[int], bytes]) -> bytes:
    """The longest of `write(room)` that is short enough, by halving."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if len(write(middle)) <= most:
            low = middle
        else:
            high = middle - 1
    return write(low)


def _start_of(text: str, room: int) -> str:
    """As much of the start as takes no more than `room` letters in JSON."""
    for place, letter in enumerate(text):
        room -= _letters(letter)
        if room < 0:
            return text[:place]
    return text


def _end_of(text: str, room: int) -> str:
    return _start_of(text[::-1], room)[::-1]


def _letters(letter: Any) -> int:
    return len(json.dumps(letter)) - 2
