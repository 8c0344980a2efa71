"""What is heard of a program while it runs: whole lines, printable, bounded, and never waited for."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from fedwright_boxes.pod.relay import BURST_BYTES, BYTES_A_SECOND, LINE_BYTES, Relay

PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=100).map(str.encode)


@contextmanager
def relayed(clock: Callable[[], float] = time.monotonic) -> Iterator[tuple[Relay, Callable[[], bytes]]]:
    """A relay, and what has come out of it since it was last asked."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def out() -> bytes:
        try:
            return os.read(reading, 2**20)
        except BlockingIOError:
            return b""

    try:
        yield Relay(writing, clock), out
    finally:
        os.close(reading)
        os.close(writing)


@settings(deadline=None)
@given(st.lists(PLAIN, max_size=20), st.integers(1, 50))
def test_plain_lines_come_out_as_they_are_however_they_come_in(lines: list[bytes], size: int) -> None:
    text = b"".join(line + b"\n" for line in lines)
    with relayed() as (relay, out):
        for start in range(0, len(text), size):
            relay.hear(text[start : start + size])
        assert out() == text


@settings(deadline=None)
@given(st.lists(st.binary(max_size=3000), max_size=20))
def test_whatever_comes_in_what_comes_out_is_short_printable_lines(pieces: list[bytes]) -> None:
    with relayed() as (relay, out):
        for piece in pieces:
            relay.hear(piece)
        *lines, rest = out().split(b"\n")
    assert rest == b"" and len(lines) <= b"".join(pieces).count(b"\n")
    assert all(len(line) <= LINE_BYTES for line in lines)
    assert all(32 <= letter < 127 or letter == 9 for line in lines for letter in line)


def test_a_line_is_told_at_once_and_its_unfinished_end_is_not() -> None:
    with relayed() as (relay, out):
        relay.hear(b'{"round": 1}\n{"rou')
        assert out() == b'{"round": 1}\n'
        relay.hear(b'nd": 2}\n')
        assert out() == b'{"round": 2}\n'


def test_after_a_flood_as_much_is_told_as_time_allows() -> None:
    time_ = [0.0]
    with relayed(lambda: time_[0]) as (relay, out):
        told = 0
        for _ in range(2 * BURST_BYTES // 100):
            relay.hear(b"x" * 99 + b"\n")
            told += len(out())
        assert BURST_BYTES - 100 < told <= BURST_BYTES
        relay.hear(b'{"round": 7, "accuracy": 0.5}'.ljust(99) + b"\n")
        assert out() == b""
        time_[0] += 100 / BYTES_A_SECOND
        relay.hear(b'{"round": 8, "accuracy": 0.5}'.ljust(99) + b"\n")
        assert out().startswith(b'{"round": 8')


def test_where_nobody_reads_nothing_waits() -> None:
    with relayed(lambda: 0.0) as (relay, out):
        for _ in range(10):
            relay.hear(b"x\n" * 40_000)
        assert out().startswith(b"x\n")


def test_a_reader_that_is_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    Relay(writing).hear(b"nobody hears this\n")
    os.close(writing)
