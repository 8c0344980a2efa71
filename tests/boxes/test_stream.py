"""What leaves a cell is bytes that anyone may have written: nothing undeclared ever comes out of them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwright_boxes import parcel, stream
from fedwright_boxes.stream import Allowed, StreamError

ALLOWED = Allowed(handovers={"h": 100, "g": 10}, outputs={"o": 50})
NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
FILES = st.dictionaries(NAMES, st.binary(max_size=10), max_size=6)


def frame(path: bytes, content: bytes) -> bytes:
    return len(path).to_bytes(2, "little") + len(content).to_bytes(8, "little") + path + content


def end(count: int) -> bytes:
    return bytes(2) + count.to_bytes(8, "little")


def holds(delivery: stream.Delivery) -> bool:
    return (
        set(delivery.handovers) == {"h", "g"}
        and set(delivery.outputs) <= {"o"}
        and all(sum(map(len, files.values())) <= ALLOWED.handovers[name] for name, files in delivery.handovers.items())
        and all("/" not in name and not name.startswith(".") for files in delivery.handovers.values() for name in files)
    )


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_a_lawful_delivery(data: bytes) -> None:
    try:
        delivery = stream.receive(bytearray(data), ALLOWED)
    except StreamError as error:
        assert str(error).isascii()
    else:
        assert holds(delivery)


PATHS = st.sampled_from(
    [b"to/h/a", b"to/g/b", b"out/o", b"out/x", b"to/h/../a", b"to/h/.a", b"to/x/a", b"in/a", b"to//a", b"o"]
)
CHANGES = st.one_of(st.none(), st.tuples(st.integers(0, 400), st.integers(0, 255)))


@given(st.lists(st.tuples(PATHS, st.binary(max_size=60)), max_size=5), st.integers(0, 6), CHANGES)
def test_almost_lawful_streams_are_refused_or_a_lawful_delivery(
    files: list[tuple[bytes, bytes]], count: int, change: tuple[int, int] | None
) -> None:
    data = bytearray(b"".join(frame(*file) for file in files) + end(count))
    if change and change[0] < len(data):
        data[change[0]] = change[1]
    try:
        assert holds(stream.receive(data, ALLOWED))
    except StreamError:
        return


@given(handed=FILES, output=st.binary(max_size=50))
def test_what_is_sent_is_what_is_received(
    tmp_path_factory: pytest.TempPathFactory, handed: dict[str, bytes], output: bytes
) -> None:
    root = tmp_path_factory.mktemp("box")
    for folder in ("to/h", "to/g", "out"):
        (root / folder).mkdir(parents=True)
    for name, content in handed.items():
        (root / "to" / "h" / name).write_bytes(content)
    (root / "out" / "o").write_bytes(output)
    sent = (root / "sent").open("w+b")
    with sent:
        stream.send(root, ALLOWED, sent.fileno())
        sent.seek(0)
        delivery = stream.receive(bytearray(sent.read()), ALLOWED)
    assert delivery.handovers == {"h": handed, "g": {}}
    assert delivery.outputs == {"o": output}


@given(FILES, st.lists(st.text(max_size=20), max_size=4))
def test_a_parcel_arrives_as_it_was_packed(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], words: list[str]
) -> None:
    root = tmp_path_factory.mktemp("box")
    program = parcel.Program("module", tuple(words), ALLOWED)
    given_files = {f"in/{name}": content for name, content in files.items()}
    given_files |= {f"from/x/{name}": content for name, content in files.items()}
    arrived = parcel.unpack(parcel.pack(program, given_files), root)
    assert arrived == program
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert found == given_files
    assert (root / "to" / "g").is_dir()


def test_a_parcel_is_sealed(tmp_path: Path) -> None:
    """The cell holds the very memory that the keeper packed."""
    descriptor = parcel.pack(parcel.Program("module", (), ALLOWED), {"in/a": b"data"})
    try:
        for change in (lambda: os.pwrite(descriptor, b"x", 0), lambda: os.ftruncate(descriptor, 0)):
            with pytest.raises(PermissionError):
                change()
    finally:
        os.close(descriptor)
