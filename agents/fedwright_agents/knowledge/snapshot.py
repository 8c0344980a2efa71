"""A snapshot: entries with their vectors as a read-only folder, named by a digest over all of it.

    manifest.json     schema, embedder, counts, digests
    entries.jsonl     one entry a line, in the order of their ids
    vectors.npy       float16 [passages, d], in the order of the entries' passages

The package ships one (SHIPPED), since building it takes seconds and a mind's box may write nowhere; a test keeps it equal to the entries.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from fedwright_agents.knowledge.embedding import Embedder, Vectors
from fedwright_agents.knowledge.entries import Entry
from fedwright_crds.base import Digest, Strict, canonical, digest_of

SCHEMA = 1
SHIPPED = files(__package__) / "snapshot_data"
GREATEST = 64 * 1024 * 1024
"""Bytes of a file that is read."""


class SnapshotError(Exception):
    """A snapshot cannot be used, or not be written: what is wrong, and the mend."""


class Manifest(Strict):
    schema_version: int
    embedder: str
    entries_digest: Digest
    passages_digest: Digest
    """Of the texts that the vectors stand for, which the entries give: another version may cut them otherwise."""
    vectors_digest: Digest
    digest: Digest
    """Of everything above."""


@dataclass(frozen=True)
class Snapshot:
    entries: tuple[Entry, ...]
    vectors: Vectors
    """[passages, d], in the order of `passages`."""
    embedder: str
    digest: str

    @cached_property
    def passages(self) -> tuple[tuple[str, str], ...]:
        """(entry's id, passage), entry by entry."""
        return tuple((entry.id, passage) for entry in self.entries for passage in entry.passages)


def build(entries: Iterable[Entry], embedder: Embedder, folder: Path, known: Snapshot | None = None) -> Snapshot:
    """Writes a snapshot and returns it as read back.

    `known` is an earlier one whose vectors are taken over where the text is the same, so that a lesson more costs one vector and equal
    inputs give equal bytes on every kind of processor. An earlier snapshot in `folder` is replaced; anything else there is refused.
    """
    _require_free(folder)
    ordered = _ordered(entries)
    if not ordered:
        raise SnapshotError("there are no entries to build of; give some")
    vectors = _embedded([passage for entry in ordered for passage in entry.passages], embedder, known)
    written = {"entries.jsonl": _lines(ordered), "vectors.npy": _npy(vectors)}
    manifest = _manifest(embedder.identity, ordered, written)
    _replace(folder, {**written, "manifest.json": json.dumps(manifest.to_wire(), indent=1).encode() + b"\n"})
    return read(folder, embedder.identity)


def extended(known: Snapshot, entries: Iterable[Entry], embedder: Embedder) -> Snapshot:
    """A snapshot in memory with entries that `known` does not have; the embedder must be the one that made it."""
    there = {entry.id for entry in known.entries}
    ordered = _ordered([*known.entries, *(entry for entry in entries if entry.id not in there)])
    vectors = _embedded([passage for entry in ordered for passage in entry.passages], embedder, known)
    written = {"entries.jsonl": _lines(ordered), "vectors.npy": _npy(vectors)}
    digest = _manifest(embedder.identity, ordered, written).digest
    return Snapshot(ordered, vectors.astype(np.float32), embedder.identity, digest)


def read(folder: Path | Traversable, embedder: str | None = None) -> Snapshot:
    """Raises SnapshotError where it is missing, damaged, of another schema, or of another embedder than the one named."""
    manifest = _read_manifest(folder)
    if embedder is not None and manifest.embedder != embedder:
        raise SnapshotError(
            f"the snapshot {folder} was embedded by {manifest.embedder} and is asked by {embedder}; build it again with the latter"
        )
    parts = {name: _bytes(folder, name) for name in ("entries.jsonl", "vectors.npy")}
    entries = _parsed(folder, parts["entries.jsonl"])
    if _manifest(manifest.embedder, entries, parts) != manifest:
        raise SnapshotError(f"the snapshot {folder} does not have the digest of its manifest; build it again")
    snapshot = Snapshot(entries, _vectors(folder, parts["vectors.npy"]), manifest.embedder, manifest.digest)
    if len(snapshot.vectors) != len(snapshot.passages):
        raise SnapshotError(f"the vectors of {folder} are not one a passage; build it again")
    return snapshot


# -- building ---------------------------------------------------------------------------------------------------------
def _ordered(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    by_id: dict[str, Entry] = {}
    for entry in entries:
        if by_id.setdefault(entry.id, entry) != entry:
            raise SnapshotError(f"two entries have the id {entry.id}; rename or remove one")
    return tuple(by_id[key] for key in sorted(by_id))


def _embedded(passages: Sequence[str], embedder: Embedder, known: Snapshot | None) -> NDArray[np.float16]:
    usable = known if known is not None and known.embedder == embedder.identity else None
    rows = dict(zip((text for _, text in usable.passages), usable.vectors, strict=True)) if usable else {}
    fresh = [text for text in dict.fromkeys(passages) if text not in rows]
    if fresh:
        rows |= dict(zip(fresh, embedder.embed(fresh), strict=True))
    return np.stack([rows[text] for text in passages]).astype(np.float16)


def _lines(entries: Iterable[Entry]) -> bytes:
    return b"".join(canonical(entry.to_wire()) + b"\n" for entry in entries)


def _npy(vectors: NDArray[np.float16]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    return buffer.getvalue()


def _manifest(embedder: str, entries: Sequence[Entry], parts: Mapping[str, bytes]) -> Manifest:
    stated = {
        "schemaVersion": SCHEMA,
        "embedder": embedder,
        "entriesDigest": digest_of(parts["entries.jsonl"]),
        "passagesDigest": digest_of(canonical([entry.passages for entry in entries])),
        "vectorsDigest": digest_of(parts["vectors.npy"]),
    }
    return Manifest.model_validate({**stated, "digest": digest_of(canonical(stated))})


def _require_free(folder: Path) -> None:
    if folder.is_dir() and (not any(folder.iterdir()) or (folder / "manifest.json").is_file()):
        return
    if folder.exists() or folder.is_symlink():
        raise SnapshotError(f"{folder} is there and no snapshot; name another folder, or remove it")


def _replace(folder: Path, parts: Mapping[str, bytes]) -> None:
    """A folder beside it first, so that a half-written one is never found under its name."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent, ignore_cleanup_errors=True) as beside:
            fresh, old = Path(beside, "fresh"), Path(beside, "old")
            fresh.mkdir()
            for name, data in parts.items():
                (fresh / name).write_bytes(data)
                (fresh / name).chmod(0o444)
            if folder.exists():
                folder.rename(old)
            fresh.rename(folder)
    except OSError as error:
        raise SnapshotError(f"{folder} cannot be written ({error.strerror}); name another folder") from error


# -- reading ----------------------------------------------------------------------------------------------------------
def _parsed(folder: Path | Traversable, lines: bytes) -> tuple[Entry, ...]:
    try:
        return tuple(Entry.model_validate_json(line) for line in lines.splitlines())
    except ValidationError as error:
        raise SnapshotError(f"the entries of {folder} cannot be read; build it again") from error


def _vectors(folder: Path | Traversable, data: bytes) -> Vectors:
    try:
        vectors = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise SnapshotError(f"the vectors of {folder} cannot be read; build it again") from error
    if vectors.ndim != 2 or vectors.dtype != np.float16 or not np.isfinite(vectors).all():
        raise SnapshotError(f"the vectors of {folder} are not finite float16 rows; build it again")
    return np.asarray(vectors, dtype=np.float32)


def _read_manifest(folder: Path | Traversable) -> Manifest:
    data = _bytes(folder, "manifest.json")
    try:
        found = json.loads(data)
        if not isinstance(found, dict) or found.get("schemaVersion") != SCHEMA:
            raise SnapshotError(f"the snapshot {folder} has another schema than {SCHEMA}; build it again")
        return Manifest.model_validate_json(data)
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"the manifest of {folder} cannot be read; build it again") from error


def _bytes(folder: Path | Traversable, name: str) -> bytes:
    try:
        with (folder / name).open("rb") as file:
            data: bytes = file.read(GREATEST + 1)
    except OSError as error:
        raise SnapshotError(
            f"{folder} is no snapshot: {name} cannot be read ({error.strerror}); run `fedwright kb build`"
        ) from error
    if len(data) > GREATEST:
        raise SnapshotError(f"{name} of {folder} has more than {GREATEST} bytes; build it again")
    return data
