"""The last container, and the messages that a pod leaves: whatever stands in the folders, they are read and fit."""

import base64
import io
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwright_boxes.pod import contract, deliver
from fedwright_boxes.pod.contract import (
    DELIVERED_BYTES,
    EXIT_CODES,
    LINE_LETTERS,
    DeliveredOutput,
    DeliveryNote,
    Ending,
)
from fedwright_boxes.pod.volumes import Volumes
from fedwright_crds.base import digest_of
from fedwright_crds.work import MIB, BoxKind, Output, Reason, Step, Verdict, Work

from .conftest import pod_of, read_delivery

OUTPUTS = (
    Output(name="score.json", max_bytes=100_000),
    Output(name="report.html", max_bytes=7 * MIB, required=False),
)


def unpacked(output: DeliveredOutput) -> bytes:
    return zlib.decompress(base64.b64decode(output.content or ""))


class LastContainer:
    """The volumes that it sees."""

    def __init__(self, root: Path, outputs: tuple[Output, ...] = OUTPUTS) -> None:
        steps = (
            Step(name="first", box=BoxKind.JUDGE, program=("p",)),
            Step(name="score", box=BoxKind.JUDGE, program=("p",), outputs=tuple(one.name for one in outputs)),
        )
        self.work = Work(kind="test", steps=steps, outputs=outputs, images={BoxKind.JUDGE: digest_of(b"")})
        self.volumes = Volumes(root)
        self.folder = root / "fedwright" / "out" / "score"
        for made in (self.folder, root / "fedwright" / "work", root / "dev"):
            made.mkdir(parents=True)
        (root / "fedwright" / "work" / "work.json").write_text(self.work.model_dump_json())

    def deliver(self) -> tuple[int, str, DeliveryNote]:
        printed = io.StringIO()
        code = deliver.deliver(self.volumes, printed)
        said = (self.volumes.root / "dev" / "termination-log").read_bytes()
        assert len(said) <= 4096
        return code, printed.getvalue(), DeliveryNote.model_validate_json(said)


@pytest.mark.parametrize("size", [0, 1, 5999, 6000, 6001, 100_000])
def test_what_is_delivered_is_read_back_as_it_was(tmp_path: Path, size: int) -> None:
    last = LastContainer(tmp_path)
    content = os.urandom(size)
    (last.folder / "score.json").write_bytes(content)
    code, printed, note = last.deliver()
    assert (code, read_delivery(printed)) == (0, {"score.json": content})
    (noted,) = note.outputs.values()
    assert (noted.digest, noted.bytes) == (digest_of(content), size)
    assert (noted.content is not None) == (size <= 1), "what is small is in the message too"
    assert max(map(len, printed.splitlines())) <= LINE_LETTERS


def test_outputs_that_shrink_to_the_message_are_told_in_it_all_or_none(tmp_path: Path) -> None:
    last = LastContainer(
        tmp_path, outputs=(Output(name="score.json", max_bytes=MIB), Output(name="more", max_bytes=MIB))
    )
    contents = {"score.json": b'{"value": 0.5}' * 500, "more": b"few"}
    for name, content in contents.items():
        (last.folder / name).write_bytes(content)
    _, printed, note = last.deliver()
    assert read_delivery(printed) == contents
    assert {name: unpacked(one) for name, one in note.outputs.items()} == contents
    (last.folder / "score.json").write_bytes(os.urandom(5000))
    _, _, note = last.deliver()
    assert {one.content for one in note.outputs.values()} == {None}


def test_a_work_without_outputs_delivers_none(tmp_path: Path) -> None:
    code, printed, note = LastContainer(tmp_path, outputs=()).deliver()
    assert (code, read_delivery(printed), note.outputs) == (0, {}, {})


def test_it_delivers_from_its_container(folder: Path) -> None:
    step = Step(name="s", box=BoxKind.JUDGE, program=("p",), outputs=("o",))
    pod = pod_of(folder, step, outputs=(Output(name="o", max_bytes=9),))
    (folder / "out" / "s" / "o").write_text("an output")
    container, delivered = pod.deliver()
    assert (container.code, delivered) == (0, {"o": b"an output"})
    assert json.loads(container.said)["outputs"]["o"]["bytes"] == 9


# ---- hostile folders -------------------------------------------------------------------------------------------


def _link(folder: Path) -> None:
    (folder / "score.json").symlink_to("/etc/hostname")


def _second_name(folder: Path) -> None:
    (folder / "other").write_text("x")
    (folder / "score.json").hardlink_to(folder / "other")


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "score.json")


def _inner_folder(folder: Path) -> None:
    (folder / "score.json").mkdir()


def _odd_name(folder: Path) -> None:
    (folder / "score.json").write_text("x")
    (folder / "a\nb").write_text("x")


def _undeclared(folder: Path) -> None:
    (folder / "score.json").write_text("x")
    (folder / "labels.npy").write_text("x")


def _too_large(folder: Path) -> None:
    (folder / "score.json").write_bytes(bytes(100_001))


def _sparse(folder: Path) -> None:
    with (folder / "score.json").open("wb") as file:
        file.truncate(1 << 40)


def _too_large_together(folder: Path) -> None:
    (folder / "score.json").write_bytes(b"x")
    (folder / "report.html").write_bytes(bytes(DELIVERED_BYTES))


def _nothing(folder: Path) -> None:
    assert list(folder.iterdir()) == []


def _no_folder(folder: Path) -> None:
    folder.rmdir()


def _folder_is_a_link(folder: Path) -> None:
    folder.rmdir()
    folder.symlink_to(folder.parents[1] / "work")


@pytest.mark.parametrize(
    ("hostile", "why"),
    [
        (_link, "is a link"),
        (_second_name, "not a plain file with one name"),
        (_fifo, "not a plain file"),
        (_inner_folder, "not a plain file"),
        (_odd_name, "a file name is"),
        (_undeclared, "1 files are none of its outputs"),
        (_too_large, "larger than its 100000 bytes"),
        (_sparse, "is more than the"),
        (_too_large_together, "that are left"),
        (_nothing, "score.json is missing"),
        (_no_folder, "cannot be read"),
        (_folder_is_a_link, "cannot be read"),
    ],
)
def test_what_is_no_output_is_the_works_fault_and_nothing_is_printed(
    tmp_path: Path, hostile: Callable[[Path], None], why: str
) -> None:
    last = LastContainer(tmp_path)
    hostile(last.folder)
    code, printed, note = last.deliver()
    assert (code, printed, note.outputs) == (EXIT_CODES[Reason.BAD_OUTPUT], "", {})
    assert "step score" in note.error and why in note.error


def test_a_work_that_cannot_be_read_is_our_fault(tmp_path: Path) -> None:
    last = LastContainer(tmp_path)
    (tmp_path / "fedwright" / "work" / "work.json").write_text("{}")
    code, printed, note = last.deliver()
    assert (code, printed) == (EXIT_CODES[Reason.PLATFORM], "")
    assert "the work cannot be read" in note.error


def test_more_outputs_than_a_message_can_name_are_our_fault(tmp_path: Path) -> None:
    last = LastContainer(tmp_path, outputs=tuple(Output(name=f"{number:060}", max_bytes=9) for number in range(40)))
    for output in last.work.outputs:
        (last.folder / output.name).write_text("x")
    code, _, note = last.deliver()
    assert code == EXIT_CODES[Reason.PLATFORM]
    assert note.error == "40 outputs are more than one message of 4096 bytes can name"


# ---- messages --------------------------------------------------------------------------------------------------

Anything = st.text(max_size=3000) | st.sampled_from(["\x00" * 4096, "\U0001f600" * 3000, '"\\\n' * 1300, "a" * 4096])


@given(
    text=Anything,
    message=Anything,
    reason=st.sampled_from(Reason),
    number=st.integers(-(1 << 70), 1 << 70),
    containers=st.integers(2, contract.MOST_CONTAINERS),
)
def test_an_ending_always_fits_and_keeps_the_end_of_what_was_printed(
    text: str, message: str, reason: Reason, number: int, containers: int
) -> None:
    """A kubelet keeps 12 KiB for all containers of a pod together."""
    verdict = Verdict(
        step="s" * 63, reason=reason, exit_code=number, text=text[:4096], rounds=number, cpu_seconds=1e308
    )
    said = contract.ending_bytes(Ending(verdict=verdict, message=message), contract.message_room(containers))
    assert len(said) <= 4096 and len(said) * containers <= 12 * 1024 and said.isascii()
    read = Ending.model_validate_json(said)
    assert verdict.text.endswith(read.verdict.text) and message.startswith(read.message)
    assert read.verdict.model_copy(update={"text": ""}) == verdict.model_copy(update={"text": ""})
    if len(text) + len(message) < 300:
        assert (read.verdict.text, read.message) == (text, message)


@given(error=st.text(min_size=1, max_size=2000))
def test_a_note_of_an_error_always_fits(error: str) -> None:
    said = contract.note_bytes(DeliveryNote(error=error))
    assert len(said) <= contract.MESSAGE_BYTES
    assert error.startswith(DeliveryNote.model_validate_json(said).error)


def test_exit_codes_differ_and_only_an_end_that_goes_on_is_zero() -> None:
    assert len(set(EXIT_CODES.values())) == len(Reason)
    assert [reason for reason, code in EXIT_CODES.items() if code == 0] == [Reason.COMPLETED]
    assert all(64 < code < 126 for reason, code in EXIT_CODES.items() if reason != Reason.COMPLETED)
    assert [contract.chunk_name(number) for number in (0, 12, 123)] == ["000", "012", "123"]
