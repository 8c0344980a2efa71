"""The last container of a pod: prints the outputs of all steps for the operator to read, and nothing else.

Trusted, in the judge's image. What it reads was written by launchers, but after steps that ran hostile code: it is
taken for hostile once more.
"""

import argparse
import base64
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from fedwright_boxes.pod import contract
from fedwright_boxes.pod.contract import (
    DELIVERED_BYTES,
    EXIT_CODES,
    LINE_LETTERS,
    DeliveredOutput,
    DeliveryEnd,
    DeliveryHead,
    DeliveryNote,
)
from fedwright_boxes.pod.volumes import VolumeError, Volumes
from fedwright_crds.base import digest_of
from fedwright_crds.work import Output, Reason, Step, Work

_LINE_BYTES = LINE_LETTERS // 4 * 3
MOST_SHRUNK = 8
"""What is larger than the message by more than this factor is not worth a try."""


class BadOutputError(Exception):
    """The work's own fault; the message says what is wrong with which step's output."""


def collect(work: Work, volumes: Volumes) -> dict[str, bytes]:
    """By name, the later step's where two have one name; raises `BadOutputError`."""
    declared = {output.name: output for output in work.outputs}
    found: dict[str, bytes] = {}
    for step in work.steps:
        if step.outputs:
            found |= _of_step(step, declared, volumes)
    if (size := sum(map(len, found.values()))) > DELIVERED_BYTES:
        raise BadOutputError(f"the outputs have {size} bytes together, and at most {DELIVERED_BYTES} can be delivered")
    return found


def _of_step(step: Step, declared: Mapping[str, Output], volumes: Volumes) -> dict[str, bytes]:
    allowed = {name: declared[name] for name in step.outputs if name in declared}
    try:
        found = volumes.outputs(step.name, DELIVERED_BYTES)
    except VolumeError as error:
        raise BadOutputError(f"step {step.name}: {error}") from error
    if strange := len(found.keys() - allowed.keys()):
        raise BadOutputError(f"step {step.name}: {strange} files are none of its outputs")
    for name, output in allowed.items():
        if name not in found and output.required:
            raise BadOutputError(f"step {step.name}: the required output {name} is missing")
        if len(found.get(name, b"")) > output.max_bytes:
            raise BadOutputError(f"step {step.name}: the output {name} is larger than its {output.max_bytes} bytes")
    return found


def lines(outputs: Mapping[str, bytes]) -> Iterator[str]:
    """What is printed."""
    for name, content in outputs.items():
        head = DeliveryHead(name=name, digest=digest_of(content), bytes=len(content))
        yield head.model_dump_json()
        for start in range(0, len(content), _LINE_BYTES):
            yield base64.b64encode(content[start : start + _LINE_BYTES]).decode("ascii")
        yield ""
    yield DeliveryEnd(end=len(outputs)).model_dump_json()


def note_of(outputs: Mapping[str, bytes], room: int) -> bytes:
    """With the outputs themselves where that fits into so many bytes: then nobody has to ask the node for the log."""
    named = {name: DeliveredOutput(digest=digest_of(content), bytes=len(content)) for name, content in outputs.items()}
    if sum(map(len, outputs.values())) <= room * MOST_SHRUNK:
        whole = {
            name: one.model_copy(update={"content": base64.b64encode(zlib.compress(outputs[name], 9)).decode("ascii")})
            for name, one in named.items()
        }
        with suppress(ValueError):
            return contract.note_bytes(DeliveryNote(outputs=whole), room)
    return contract.note_bytes(DeliveryNote(outputs=named), room)


def deliver(volumes: Volumes, to: TextIO) -> int:
    """The exit code; what was delivered is in the termination log as well."""
    room = contract.message_room(contract.MOST_CONTAINERS)
    try:
        work = volumes.work()
        room = contract.message_room(len(work.steps) + 1)
        outputs = collect(work, volumes)
        note = note_of(outputs, room)
        for line in lines(outputs):
            to.write(line + "\n")
        to.flush()
    except BadOutputError as error:
        return _fail(volumes, room, Reason.BAD_OUTPUT, error)
    except Exception as error:
        return _fail(volumes, room, Reason.PLATFORM, error)
    volumes.say(note)
    return EXIT_CODES[Reason.COMPLETED]


def _fail(volumes: Volumes, room: int, reason: Reason, error: Exception) -> int:
    volumes.say(contract.note_bytes(DeliveryNote(error=str(error)[:2000] or repr(error)[:2000]), room))
    return EXIT_CODES[reason]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m fedwright_boxes.pod.deliver", description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("/"), help="outside a pod: a folder that stands for /")
    return deliver(Volumes(parser.parse_args(argv).root.absolute()), sys.stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
