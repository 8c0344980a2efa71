"""Artifacts under the name of their own digest: as immutable ConfigMaps, in pieces where they are large, or at a URL.

Each belongs to the roots that wrote or adopted it, so the cluster's garbage collector removes it with the last of them.
The first piece is written last: where it is, the whole is. Of an artifact at the URL the first ConfigMap is a record, which
has the owners and is written after it; what a pod mounts of it is staged in the pieces behind the record.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock

from fedwright_crds.base import digest_of
from fedwright_crds.work import MIB
from fedwright_operator.cluster import config_maps
from fedwright_operator.cluster.api import CONFIG_MAP, Api, ApiError, Json
from fedwright_operator.cluster.labels import ARTIFACT, CHUNKS, FEDWRIGHT, MANAGED_BY, STORED, managed
from fedwright_operator.cluster.stored import REFUSED, Store, StoreError, plain
from fedwright_operator.shell.remembered import Remembered

CHUNK_BYTES = 768 * 1024
"""A ConfigMap holds 1 MiB, and in a request its bytes are a third longer."""
LARGEST = 16 * MIB
"""Of what lies in ConfigMaps, is mounted, or is read as a document."""
LARGEST_STORED = 256 * MIB
"""As the contract of boxes has it. It passes through in pieces; today's outputs are smaller, since they come by a log."""
REMEMBERED = 32 * MIB
STORED_ONES = f"{MANAGED_BY}={FEDWRIGHT},{STORED}"
"""Selects the records."""
_KEY = "data"
_RECORD = "stored.json"


@dataclass(frozen=True)
class _Lies:
    """Where an artifact is: in so many ConfigMaps, or behind a record, so many bytes at the URL."""

    pieces: int
    stored: int | None = None

    @property
    def staged(self) -> range:
        """The numbers of the pieces that a pod mounts."""
        return range(self.pieces) if self.stored is None else range(1, _pieces(self.stored) + 1)


class ClusterArtifacts:
    """The artifacts of all namespaces; each namespace has its own. Safe to use from many threads."""

    def __init__(self, api: Api, store: Store | None = None) -> None:
        self._api, self._store = api, store
        self._memory = Remembered(REMEMBERED)
        self._lying: dict[tuple[str, str], _Lies] = {}
        self._owned: set[tuple[str, str, str]] = set()
        self._staged: set[tuple[str, str, str]] = set()
        self._lock = Lock()

    # -- writing ----------------------------------------------------------------------------------
    def write(self, namespace: str, data: bytes, owner: Json, *, output: bool = False) -> str:
        """Keep the bytes for this owner reference; their digest. An output may go to the URL: no pod is known to mount it.

        Raises ValueError beyond the greatest size, StoreError while the store does not take it.
        """
        digest = digest_of(data)
        if not self.is_owned(namespace, digest, owner):
            if self._goes_to_the_url(namespace, digest, len(data), output):
                lies = self._write_stored(namespace, digest, data, owner)
            else:
                lies = self._write_pieces(namespace, digest, data, owner)
            self._note(namespace, digest, lies, owner)
        self._memory.put(digest, data)
        return digest

    def is_owned(self, namespace: str, digest: str, owner: Json) -> bool:
        """Whether it is known to stay as long as this owner."""
        return (namespace, digest, owner["uid"]) in self._owned

    def check(self, largest: int) -> None:
        """Raises StoreError where an output of that size would have to wait for the store: to be asked before it is fetched."""
        if self._store and largest > CHUNK_BYTES:
            self._store.check()

    def _goes_to_the_url(self, namespace: str, digest: str, size: int, output: bool) -> bool:
        """What is there already stays where it is."""
        if self._store is None or size <= CHUNK_BYTES:
            return False
        found = self._api.find(CONFIG_MAP, namespace, record_name(digest))
        return output if found is None else is_record(found)

    def _write_stored(self, namespace: str, digest: str, data: bytes, owner: Json) -> _Lies:
        if len(data) > LARGEST_STORED:
            raise ValueError(f"an artifact of {len(data)} bytes is over the limit of {LARGEST_STORED}")
        store = self._at_url()
        with store.alone(digest):
            self._api.fence()
            store.keep(namespace, digest, data)
            self._put(_record(namespace, digest, len(data), owner))
        return _Lies(1, len(data))

    def _write_pieces(self, namespace: str, digest: str, data: bytes, owner: Json) -> _Lies:
        if len(data) > LARGEST:
            raise ValueError(f"an artifact of {len(data)} bytes is over the limit of {LARGEST} for ConfigMaps")
        count = _pieces(len(data))
        for number in reversed(range(count)):
            piece = data[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
            self._put(_piece(namespace, digest, number, count, piece, owner))
        return _Lies(count)

    def adopt(self, namespace: str, digest: str, owner: Json) -> None:
        """Let it stay as long as this owner too. Raises KeyError if it is gone."""
        if self.is_owned(namespace, digest, owner):
            return
        lies = self._where(namespace, digest)
        try:
            for number in range(lies.pieces):
                patch = {"metadata": {"ownerReferences": [owner]}}
                self._api.merge(CONFIG_MAP, namespace, _name(digest, number), patch)
        except ApiError as problem:
            if not problem.missing:
                raise
            self._lying.pop((namespace, digest), None)
            raise KeyError(f"artifact {digest} is not in namespace {namespace} any more") from problem
        self._note(namespace, digest, lies, owner)

    def mounted(self, namespace: str, digest: str, owner: Json) -> tuple[str, ...]:
        """The ConfigMaps from which pods mount it, in order; they stay as long as this owner. Raises KeyError if it is gone,
        or larger than what is mounted, StoreError while it cannot be staged."""
        self.adopt(namespace, digest, owner)
        lies = self._where(namespace, digest)
        if lies.stored is not None and (namespace, digest, owner["uid"]) not in self._staged:
            self._stage(namespace, digest, lies, owner)
        return tuple(_name(digest, number) for number in lies.staged)

    def _stage(self, namespace: str, digest: str, lies: _Lies, owner: Json) -> None:
        """No work is made before all of it is there, and so it was checked."""
        content = _cut(self._fetched(namespace, digest, lies.stored or 0), CHUNK_BYTES)
        for number, piece in zip(lies.staged, content, strict=True):
            self._put(_piece(namespace, digest, number, len(lies.staged), piece, owner))
        with self._lock:
            self._staged.add((namespace, digest, owner["uid"]))

    def _put(self, body: Json) -> None:
        config_maps.create(self._api, body, "labels", "ownerReferences")

    # -- reading ----------------------------------------------------------------------------------
    def read(self, namespace: str, digest: str) -> bytes:
        """The bytes of that digest. Raises KeyError if they are gone or not what their name says, StoreError while the store
        does not give them."""
        if (namespace, digest) in self._lying and (known := self._memory.get(digest)) is not None:
            return known
        lies = self._where(namespace, digest)
        if lies.stored is not None:
            data = b"".join(self._fetched(namespace, digest, lies.stored))
        else:
            data = b"".join(self._content(namespace, _name(digest, number)) for number in range(lies.pieces))
        if digest_of(data) != digest:
            raise KeyError(f"artifact {digest} in namespace {namespace} is not what its name says; delete it")
        self._memory.put(digest, data)
        return data

    def _where(self, namespace: str, digest: str) -> _Lies:
        """Raises KeyError if it is gone."""
        lies = self._lying.get((namespace, digest))
        if lies is None:
            first = self._api.find(CONFIG_MAP, namespace, record_name(digest))
            if first is None:
                raise KeyError(f"artifact {digest} is not in namespace {namespace}")
            lies = self._lying[namespace, digest] = _lies(first)
        return lies

    def _fetched(self, namespace: str, digest: str, size: int) -> Iterator[bytes]:
        if size > LARGEST:
            raise KeyError(f"artifact {digest} has {size} bytes, and what is read or mounted has at most {LARGEST}")
        return self._at_url().pieces(namespace, digest, size)

    def _content(self, namespace: str, name: str) -> bytes:
        found = self._api.find(CONFIG_MAP, namespace, name)
        if found is None:
            raise KeyError(f"ConfigMap {namespace}/{name}, a piece of an artifact, is gone")
        return base64.b64decode(found.get("binaryData", {}).get(_KEY, ""))

    def _at_url(self) -> Store:
        if self._store is None:
            raise StoreError(REFUSED, "artifacts are kept at a URL and artifacts.url is not set; set it as it was")
        return self._store

    # -- remembering ------------------------------------------------------------------------------
    def forget(self, root: str) -> None:
        """A root is gone, and what it alone owned goes too: what is known of it is asked for again."""
        with self._lock:
            lost = {one[:2] for one in self._owned if one[2] == root}
            self._owned = {one for one in self._owned if one[:2] not in lost}
            self._staged = {one for one in self._staged if one[:2] not in lost}
            for one in lost:
                self._lying.pop(one, None)

    def _note(self, namespace: str, digest: str, lies: _Lies, owner: Json) -> None:
        with self._lock:
            self._owned.add((namespace, digest, owner["uid"]))
            self._lying[namespace, digest] = lies


# -- ConfigMaps ----------------------------------------------------------------------------------------------
def record_name(digest: str) -> str:
    """Of the first ConfigMap of an artifact, which says where it is."""
    return _name(digest, 0)


def digest_recorded(name: str) -> str:
    """The digest whose record would be called so, '' if none's would."""
    try:
        digest = plain(name.removeprefix("a-").removesuffix("-0"))
    except KeyError:
        return ""
    return f"sha256:{digest}" if name == record_name(digest) else ""


def is_record(body: Json) -> bool:
    """By what cannot be changed in it: labels can."""
    return _RECORD in (body.get("data") or {})


def _record(namespace: str, digest: str, size: int, owner: Json) -> Json:
    data = {_RECORD: json.dumps({"digest": digest, "bytes": size})}
    return {**_config_map(namespace, digest, 0, {STORED: "true"}, owner), "data": data}


def _piece(namespace: str, digest: str, number: int, count: int, piece: bytes, owner: Json) -> Json:
    data = {_KEY: base64.b64encode(piece).decode()}
    return {**_config_map(namespace, digest, number, {CHUNKS: str(count)}, owner), "binaryData": data}


def _config_map(namespace: str, digest: str, number: int, labels: dict[str, str], owner: Json) -> Json:
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {
            "name": _name(digest, number),
            "namespace": namespace,
            "labels": managed("artifact", **{ARTIFACT: digest[7:70]}, **labels),
            "ownerReferences": [owner],
        },
        "immutable": True,
    }


def _lies(first: Json) -> _Lies:
    """As its first ConfigMap says, which anyone may write."""
    name = f"{first['metadata']['namespace']}/{first['metadata']['name']}"
    if is_record(first):
        try:
            return _Lies(1, _size(json.loads(first["data"][_RECORD])["bytes"]))
        except (ValueError, TypeError, KeyError):
            raise KeyError(f"ConfigMap {name} says in {_RECORD} no number of bytes; delete it") from None
    said = first["metadata"].get("labels", {}).get(CHUNKS, "")
    if said not in map(str, range(1, LARGEST // CHUNK_BYTES + 2)):
        raise KeyError(f"ConfigMap {name} says in its label {CHUNKS} no number of pieces; delete it")
    return _Lies(int(said))


def _size(said: object) -> int:
    if type(said) is not int or not 0 <= said <= LARGEST_STORED:
        raise ValueError
    return said


def _pieces(size: int) -> int:
    return max(1, -(-size // CHUNK_BYTES))


def _cut(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of this size, the last one of what is left."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)


def _name(digest: str, number: int) -> str:
    return f"a-{plain(digest)}-{number}"
