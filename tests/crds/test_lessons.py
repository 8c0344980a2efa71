"""Lessons as lines: the same one is kept once, the newest are kept, and nothing that is none becomes one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwright_crds import lessons as module
from fedwright_crds.lessons import line_of, lines_of, unknown, whole_lines, with_more

documents = st.lists(
    st.dictionaries(st.sampled_from(["method", "value", "clients"]), st.integers() | st.text(max_size=8)), max_size=8
)


def document(*methods: str) -> bytes:
    return json.dumps([{"method": one} for one in methods]).encode()


@given(st.lists(documents, max_size=6))
def test_whatever_is_added_in_whichever_order_and_however_often_is_there_once(
    several: list[list[dict[str, object]]],
) -> None:
    kept = b""
    for one in [*several, *several]:
        kept = with_more(kept, lines_of(json.dumps(one).encode()))
    assert sorted(whole_lines(kept)) == sorted({line_of(lesson) for one in several for lesson in one})


def test_the_same_lesson_in_another_spelling_is_the_same_line() -> None:
    assert lines_of(b'[{"b": 1, "a": 2}]') == lines_of(b'[ {"a":2,"b":1} ]') == (b'{"a":2,"b":1}\n',)


def test_beyond_the_most_the_oldest_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SEARCHED", 3)
    kept = with_more(with_more(b"", lines_of(document("a", "b"))), lines_of(document("c", "d")))
    assert whole_lines(kept) == lines_of(document("b", "c", "d"))
    assert with_more(kept, lines_of(document("c"))) == kept


def test_beyond_the_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 2 * len(line_of({"method": "a"})))
    assert whole_lines(with_more(b"", lines_of(document("a", "b", "c")))) == lines_of(document("b", "c"))


def test_half_a_line_is_none() -> None:
    assert whole_lines(b'{"a":1}\n{"half') == (b'{"a":1}\n',)
    assert with_more(b'{"a":1}\n{"half', lines_of(b'[{"b":2}]')) == b'{"a":1}\n{"b":2}\n'
    assert unknown((b"x\n",), (b"x\n", b"y\n", b"y\n")) == (b"y\n",)


@pytest.mark.parametrize(
    "wrong", [b"", b"no json", b"{}", b"[1]", b'[{"value": NaN}]', b"[" * 100_000, b"\xff"], ids=repr
)
def test_what_is_no_list_of_lessons_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError):
        lines_of(wrong)
