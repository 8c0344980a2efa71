"""Snapshots: equal inputs give equal bytes, and what was changed, is of another model or of another version is refused."""

import errno
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from fedwright_agents.knowledge import snapshot
from fedwright_agents.knowledge.entries import Entry, Kind
from fedwright_agents.knowledge.shipped import shipped_entries
from fedwright_agents.knowledge.snapshot import SHIPPED, SnapshotError, build, read

BUILD = "python -m fedwright_agents.knowledge build --output agents/fedwright_agents/knowledge/snapshot_data"


class Letters:
    """An embedder that counts letters, and what it was asked."""

    def __init__(self, identity: str = "letters") -> None:
        self.identity = identity
        self.asked: list[str] = []

    def embed(self, texts):
        self.asked += texts
        counts = np.array([[1 + text.count(letter) for letter in "aeiou"] for text in texts], dtype=np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


# -- what ships -------------------------------------------------------------------------------------------------------
def test_the_shipped_snapshot_holds_the_entries():
    assert read(SHIPPED).entries == shipped_entries(), f"texts or the catalogue changed; run: {BUILD}"


def test_the_shipped_vectors_are_the_models(model):
    shipped = read(SHIPPED, model.identity)
    some = range(0, len(shipped.passages), 12)
    fresh = model.embed([shipped.passages[k][1] for k in some])
    assert (np.sum(fresh * shipped.vectors[list(some)], axis=1) > 0.9999).all(), f"run: {BUILD}"


def test_the_shipped_snapshot_is_small():
    assert sum(file.stat().st_size for file in Path(str(SHIPPED)).iterdir()) < 1024 * 1024


# -- building ---------------------------------------------------------------------------------------------------------
def test_equal_inputs_give_equal_bytes_in_any_order(few, tmp_path):
    one = build(few, Letters(), tmp_path / "one")
    two = build(reversed(few), Letters(), tmp_path / "two")
    assert one.digest == two.digest
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_the_model_gives_equal_bytes_twice(few, model, tmp_path):
    build(few, model, tmp_path / "one")
    build(few, model, tmp_path / "two")
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_vectors_of_known_texts_are_taken_over(few, tmp_path):
    embedder = Letters()
    known = build(few, embedder, tmp_path / "known")
    embedder.asked.clear()
    more = Entry(id="part/More", kind=Kind.PART, title="New", text="Added later.", source="a test")
    made = build([*few, more], embedder, tmp_path / "more", known)
    assert embedder.asked == ["New", "Added later."]
    assert made.digest == build([*few, more], Letters(), tmp_path / "scratch").digest


def test_vectors_of_another_model_are_not_taken_over(few, tmp_path):
    known = build(few, Letters(), tmp_path / "known")
    other = Letters("others")
    build(few, other, tmp_path / "other", known)
    assert len(other.asked) == len(known.passages)


def test_an_earlier_snapshot_is_replaced_and_nobody_can_write_into_one(few, tmp_path):
    first = build(few[:1], Letters(), tmp_path / "snapshot")
    second = build(few, Letters(), tmp_path / "snapshot")
    assert first.digest != second.digest == read(tmp_path / "snapshot").digest
    assert [file.name for file in tmp_path.iterdir()] == ["snapshot"]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o444 for file in (tmp_path / "snapshot").iterdir())


def test_what_is_no_snapshot_is_not_replaced(few, tmp_path):
    (tmp_path / "thesis.tex").touch()
    for folder in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(SnapshotError, match="is there and no snapshot; name another folder"):
            build(few, Letters(), folder)
    assert (tmp_path / "thesis.tex").exists()


def test_two_entries_of_one_id_are_refused(few, tmp_path):
    with pytest.raises(SnapshotError, match="two entries have the id part/Bits"):
        build([*few, few[0].model_copy(update={"title": "Other"})], Letters(), tmp_path / "snapshot")


def test_no_entry_at_all_is_refused(tmp_path):
    with pytest.raises(SnapshotError, match="there are no entries"):
        build([], Letters(), tmp_path / "snapshot")


# -- reading ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["entries.jsonl", "vectors.npy", "manifest.json"])
@pytest.mark.parametrize("place", [0.05, 0.5, 0.95])
def test_a_changed_byte_is_refused(few, tmp_path, name, place):
    build(few, Letters(), tmp_path / "snapshot")
    file = tmp_path / "snapshot" / name
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)
    with pytest.raises(SnapshotError, match="build it again"):
        read(tmp_path / "snapshot", "letters")


@pytest.mark.parametrize("name", ["entries.jsonl", "vectors.npy", "manifest.json"])
def test_a_missing_file_is_named(few, tmp_path, name):
    build(few, Letters(), tmp_path / "snapshot")
    (tmp_path / "snapshot" / name).unlink()
    with pytest.raises(SnapshotError, match=name):
        read(tmp_path / "snapshot")


def test_another_embedder_is_refused(few, tmp_path):
    build(few, Letters(), tmp_path / "snapshot")
    with pytest.raises(SnapshotError, match="was embedded by letters and is asked by others; build it again"):
        read(tmp_path / "snapshot", "others")


@pytest.mark.parametrize(
    "manifest", ["{}", "[]", "null", "[" * 100_000, '{"schemaVersion": 99}', '{"schemaVersion": 1}', "\ufeff"]
)
def test_another_schema_is_refused(few, tmp_path, manifest):
    build(few, Letters(), tmp_path / "snapshot")
    file = tmp_path / "snapshot" / "manifest.json"
    file.chmod(0o644)
    file.write_text(manifest)
    with pytest.raises(SnapshotError, match="build it again"):
        read(tmp_path / "snapshot")


def test_a_version_that_cuts_texts_otherwise_is_refused(few, tmp_path, monkeypatch):
    build(few, Letters(), tmp_path / "snapshot")
    monkeypatch.setattr(Entry, "passages", property(lambda entry: (entry.text, entry.title)))
    with pytest.raises(SnapshotError, match="build it again"):
        read(tmp_path / "snapshot")


@pytest.mark.parametrize(
    "vectors",
    [
        np.ones((3, 5), np.float16),
        np.ones(8, np.float16),
        np.ones((8, 5), np.float64),
        np.full((8, 5), np.nan, np.float16),
    ],
)
def test_vectors_that_do_not_fit_the_entries_are_refused(few, tmp_path, vectors):
    """Whoever made the digests."""
    build(few, Letters(), tmp_path / "snapshot")
    parts = {
        "entries.jsonl": (tmp_path / "snapshot" / "entries.jsonl").read_bytes(),
        "vectors.npy": snapshot._npy(vectors),
    }
    manifest = snapshot._manifest("letters", read(tmp_path / "snapshot").entries, parts)
    for name, data in {**parts, "manifest.json": json.dumps(manifest.to_wire()).encode()}.items():
        (tmp_path / "snapshot" / name).chmod(0o644)
        (tmp_path / "snapshot" / name).write_bytes(data)
    with pytest.raises(SnapshotError, match="build it again"):
        read(tmp_path / "snapshot")


def test_a_build_that_fails_leaves_nothing(few, tmp_path, monkeypatch):
    first = build(few, Letters(), tmp_path / "snapshot")
    monkeypatch.setattr(Path, "write_bytes", _full_disk)
    with pytest.raises(SnapshotError, match="No space left on device"):
        build(few[:1], Letters(), tmp_path / "snapshot")
    assert [file.name for file in tmp_path.iterdir()] == ["snapshot"]
    assert read(tmp_path / "snapshot").digest == first.digest


def _full_disk(_path: Path, _data: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_manifest_is_written_for_people_too(few, tmp_path):
    made = build(few, Letters(), tmp_path / "snapshot")
    told = json.loads((tmp_path / "snapshot" / "manifest.json").read_text())
    assert (told["schemaVersion"], told["embedder"], told["digest"]) == (1, "letters", made.digest)
