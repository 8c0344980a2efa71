"""What the last container printed is bytes that anyone may have written: outputs as declared come out of it, or an error."""

import base64
import json
import re
import tracemalloc
import zlib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from some_works import a_judging

from fedwright_boxes.pod.contract import DELIVERED_BYTES, LINE_LETTERS
from fedwright_crds.base import digest_of
from fedwright_crds.work import Output, Work
from fedwright_operator.cluster.deliveries import LOG_BYTES, DeliveryError, read, told

Json = dict[str, Any]


def work_with(*outputs: Output) -> Work:
    work = a_judging()
    last = work.steps[-1].model_copy(update={"outputs": tuple(one.name for one in outputs)})
    return work.model_copy(update={"outputs": outputs, "steps": (*work.steps[:-1], last)})


WORK = work_with(
    Output(name="score.json", max_bytes=100),
    Output(name="more", max_bytes=20_000, required=False),
    Output(name="e", max_bytes=1, required=False),
)


def log_of(outputs: Mapping[str, bytes], end: int | None = None) -> bytes:
    lines = []
    for name, content in outputs.items():
        lines.append(json.dumps({"name": name, "digest": digest_of(content), "bytes": len(content)}))
        letters = base64.b64encode(content).decode()
        lines += [letters[start : start + LINE_LETTERS] for start in range(0, len(letters), LINE_LETTERS)]
        lines.append("")
    lines.append(json.dumps({"end": len(outputs) if end is None else end}))
    return "".join(f"{line}\n" for line in lines).encode()


def note_of(outputs: Mapping[str, bytes]) -> str:
    named = {name: {"digest": digest_of(content), "bytes": len(content)} for name, content in outputs.items()}
    return json.dumps({"outputs": named})


def whole_note(outputs: Mapping[str, bytes]) -> Json:
    note: Json = json.loads(note_of(outputs))
    for name, content in outputs.items():
        note["outputs"][name]["content"] = base64.b64encode(zlib.compress(content)).decode()
    return note


def lawful(found: Mapping[str, bytes], work: Work = WORK) -> bool:
    most = {one.name: one.max_bytes for one in work.outputs}
    return all(name in most and len(content) <= most[name] for name, content in found.items())


SCORE = {"score.json": b'{"ok": true}'}
GOOD = st.fixed_dictionaries(
    {"score.json": st.binary(max_size=100)}, optional={"more": st.binary(max_size=20_000), "e": st.binary(max_size=1)}
)
SMALL = st.fixed_dictionaries(
    {"score.json": st.binary(max_size=100)}, optional={"more": st.binary(max_size=1000), "e": st.binary(max_size=1)}
)


@given(GOOD)
def test_what_was_delivered_is_what_is_read(outputs: dict[str, bytes]) -> None:
    assert read(log_of(outputs), note_of(outputs), WORK) == outputs


@given(SMALL)
def test_what_the_message_itself_holds_is_read_without_the_log(outputs: dict[str, bytes]) -> None:
    whole = json.dumps(whole_note(outputs))
    assert told(whole, WORK) == outputs
    assert read(log_of(outputs), whole, WORK) == outputs
    assert told(note_of(outputs), WORK) is None


@given(SMALL, st.dictionaries(st.sampled_from(["score.json", "more", "e"]), st.binary(max_size=60)))
def test_whatever_else_the_message_holds_is_refused(outputs: dict[str, bytes], packed: dict[str, bytes]) -> None:
    note = whole_note(outputs)
    for name, content in packed.items():
        if name in note["outputs"]:
            note["outputs"][name]["content"] = base64.b64encode(content).decode()
    try:
        assert told(json.dumps(note), WORK) == outputs
    except DeliveryError as error:
        assert str(error).isascii()


def test_a_message_that_would_grow_to_more_than_it_says_is_not_unpacked() -> None:
    bomb = zlib.compress(bytes(50_000_000), 9)
    said = {"digest": digest_of(b""), "bytes": 20, "content": base64.b64encode(bomb[:3000]).decode()}
    tracemalloc.start()
    with pytest.raises(DeliveryError, match="other bytes"):
        told(json.dumps({"outputs": {"score.json": said}}), WORK)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000


@given(st.binary(max_size=400), st.text(max_size=200))
def test_any_bytes_and_any_message_are_refused_in_one_way(log: bytes, message: str) -> None:
    for said in (message, note_of(SCORE)):
        try:
            assert lawful(read(log, said, WORK))
        except DeliveryError as error:
            assert str(error).isascii()


@given(GOOD, GOOD, st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=3), st.integers(0, 4000))
def test_almost_whole_deliveries_are_refused_or_lawful_and_true_to_the_message(
    outputs: dict[str, bytes], noted: dict[str, bytes], changes: list[tuple[int, int]], cut: int
) -> None:
    log = bytearray(log_of(outputs))
    for place, value in changes:
        if place < len(log):
            log[place] = value
    for said, data in (
        (note_of(outputs), bytes(log)),
        (note_of(noted), log_of(outputs)),
        (note_of(outputs), bytes(log[:cut])),
    ):
        try:
            found = read(data, said, WORK)
        except DeliveryError:
            continue
        assert lawful(found)
        assert note_of(found) == said or json.loads(note_of(found)) == json.loads(said)


LARGE = {"score.json": b"x" * 101}
NESTED = "[" * 100_000


@pytest.mark.parametrize(
    ("log", "message", "words"),
    [
        (log_of(SCORE), note_of(LARGE), "may have 100"),
        (log_of(SCORE), note_of({**SCORE, "other": b""}), "no step of the work has"),
        (log_of({}), note_of({}), "required output score.json was not delivered"),
        (log_of(SCORE), '{"error": "a link"}', "nothing was delivered"),
        (log_of(SCORE), "", "no note"),
        (log_of(SCORE), NESTED, "no note"),
        (log_of(SCORE), '{"outputs": {"score.json": {"digest": "x", "bytes": ' + "9" * 100_000 + "}}}", "no note"),
        (log_of(SCORE), '{"outputs": {"score.json": {"digest": "x", "bytes": NaN}}}', "no note"),
        (log_of(SCORE), "\ud800", "not ASCII"),
        (b"", note_of(SCORE), "ends before"),
        (log_of(SCORE)[:-1], note_of(SCORE), "within a line"),
        (log_of(SCORE) + b"\n", note_of(SCORE), "goes on after its end"),
        (log_of(SCORE, end=2), note_of(SCORE), "lacks an output"),
        (log_of({}), note_of(SCORE), "lacks an output that the message names"),
        (log_of(LARGE), note_of(SCORE), "names otherwise"),
        (log_of(SCORE)[: -len('{"end": 1}\n')] + log_of(SCORE), note_of(SCORE), "one twice"),
        (b"x" * 600 + b"\n", note_of(SCORE), "too long"),
        (NESTED[:500].encode() + b"\n", note_of(SCORE), "neither the head"),
        (b"warning: something\n" + log_of(SCORE), note_of(SCORE), "neither the head"),
        (b"\n" * LOG_BYTES + b"\n", note_of(SCORE), "longer than any delivery"),
        (log_of(SCORE).replace(b"eyJvayI6IHRydWV9", b"eyJvayI6IHRydWV8"), note_of(SCORE), "other bytes"),
        (log_of(SCORE).replace(b"eyJvayI6IHRydWV9", b"eyJvayI6IHRydWV!"), note_of(SCORE), "no base64"),
        (log_of(SCORE).replace(b"eyJvayI6IHRydWV9", b"eyJvayI6IHRydWV9" * 9), note_of(SCORE), "longer than its head"),
    ],
)  # fmt: skip
def test_each_way_to_be_wrong_is_named(log: bytes, message: str, words: str) -> None:
    with pytest.raises(DeliveryError, match=re.escape(words)):
        read(log, message, WORK)


def test_the_largest_delivery_fits_into_what_is_read_of_a_log() -> None:
    outputs = {f"o{number}": b"\xff" * (DELIVERED_BYTES // 2) for number in range(2)}
    work = work_with(*(Output(name=name, max_bytes=DELIVERED_BYTES) for name in outputs))
    log = log_of(outputs)
    assert len(log) <= LOG_BYTES and read(log, note_of(outputs), work) == outputs
    more = {"o0": outputs["o0"], "o1": outputs["o1"] + b"x"}
    with pytest.raises(DeliveryError, match="together"):
        read(log_of(more), note_of(more), work)


def test_a_flood_of_line_ends_costs_no_more_than_the_log() -> None:
    with pytest.raises(DeliveryError):
        read(b"\n" * LOG_BYTES, note_of(SCORE), WORK)
