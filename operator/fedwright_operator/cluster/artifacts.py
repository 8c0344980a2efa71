"""Artifacts as immutable ConfigMaps under the name of their own digest, in pieces where they are large.

Each belongs to the roots that wrote or adopted it, so the cluster's garbage collector removes it with the last of them.
The first piece is written last: where it is, the whole is.
"""

import base64
from threading import Lock

from fedwright_crds.base import digest_of
from fedwright_crds.work import MIB
from fedwright_operator.cluster.api import CONFIG_MAP, Api, ApiError, Json
from fedwright_operator.cluster.labels import ARTIFACT, CHUNKS, managed
from fedwright_operator.shell.remembered import Remembered

CHUNK_BYTES = 768 * 1024
"""A ConfigMap holds 1 MiB, and in a request its bytes are a third longer."""
LARGEST = 16 * MIB
REMEMBERED = 32 * MIB
_KEY = "data"


class ClusterArtifacts:
    """The artifacts of all namespaces; each namespace has its own. Safe to use from many threads."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._memory = Remembered(REMEMBERED)
        self._pieces: dict[tuple[str, str], int] = {}
        self._owned: set[tuple[str, str, str]] = set()
        self._lock = Lock()

    def write(self, namespace: str, data: bytes, owner: Json) -> str:
        """Keep the bytes for this owner reference; their digest. Raises ValueError beyond the greatest size."""
        if len(data) > LARGEST:
            raise ValueError(f"an artifact of {len(data)} bytes is over the limit of {LARGEST} for ConfigMaps")
        digest = digest_of(data)
        if (namespace, digest, owner["uid"]) not in self._owned:
            pieces = [data[i : i + CHUNK_BYTES] for i in range(0, len(data), CHUNK_BYTES)] or [b""]
            for number in reversed(range(len(pieces))):
                self._write_piece(namespace, digest, number, pieces, owner)
            self._note(namespace, digest, len(pieces), owner)
        self._memory.put(digest, data)
        return digest

    def adopt(self, namespace: str, digest: str, owner: Json) -> None:
        """Let it stay as long as this owner too. Raises KeyError if it is gone."""
        if (namespace, digest, owner["uid"]) in self._owned:
            return
        names = self.names(namespace, digest)
        try:
            for name in names:
                self._api.merge(CONFIG_MAP, namespace, name, {"metadata": {"ownerReferences": [owner]}})
        except ApiError as problem:
            if not problem.missing:
                raise
            self._pieces.pop((namespace, digest), None)
            raise KeyError(f"artifact {digest} is not in namespace {namespace} any more") from problem
        self._note(namespace, digest, len(names), owner)

    def read(self, namespace: str, digest: str) -> bytes:
        """The bytes of that digest. Raises KeyError if they are gone or not what their name says."""
        if (namespace, digest) in self._pieces and (known := self._memory.get(digest)) is not None:
            return known
        data = b"".join(self._piece(namespace, name) for name in self.names(namespace, digest))
        if digest_of(data) != digest:
            raise KeyError(f"artifact {digest} in namespace {namespace} is not what its name says; delete it")
        self._memory.put(digest, data)
        return data

    def names(self, namespace: str, digest: str) -> tuple[str, ...]:
        """Of its ConfigMaps, in order. Raises KeyError if it is gone."""
        count = self._pieces.get((namespace, digest))
        if count is None:
            first = self._api.find(CONFIG_MAP, namespace, _name(digest, 0))
            if first is None:
                raise KeyError(f"artifact {digest} is not in namespace {namespace}")
            count = self._pieces[namespace, digest] = _chunks(first)
        return tuple(_name(digest, number) for number in range(count))

    def forget(self, root: str) -> None:
        """A root is gone, and what it alone owned goes too: what is known of it is asked for again."""
        with self._lock:
            lost = {one[:2] for one in self._owned if one[2] == root}
            self._owned = {one for one in self._owned if one[:2] not in lost}
            for one in lost:
                self._pieces.pop(one, None)

    def _write_piece(self, namespace: str, digest: str, number: int, pieces: list[bytes], owner: Json) -> None:
        name = _name(digest, number)
        body: Json = {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": managed("artifact", **{ARTIFACT: digest[7:70], CHUNKS: str(len(pieces))}),
                "ownerReferences": [owner],
            },
            "immutable": True,
            "binaryData": {_KEY: base64.b64encode(pieces[number]).decode()},
        }
        try:
            self._api.create(CONFIG_MAP, body)
        except ApiError as problem:
            if not problem.conflict:
                raise
            marks = {key: body["metadata"][key] for key in ("labels", "ownerReferences")}
            found = self._api.merge(CONFIG_MAP, namespace, name, {"metadata": marks})
            if found.get("binaryData") != body["binaryData"]:  # somebody else's, under a name that it does not deserve
                self._api.delete(CONFIG_MAP, namespace, name, found["metadata"]["uid"])
                self._api.create(CONFIG_MAP, body)

    def _piece(self, namespace: str, name: str) -> bytes:
        found = self._api.find(CONFIG_MAP, namespace, name)
        if found is None:
            raise KeyError(f"ConfigMap {namespace}/{name}, a piece of an artifact, is gone")
        return base64.b64decode(found.get("binaryData", {}).get(_KEY, ""))

    def _note(self, namespace: str, digest: str, count: int, owner: Json) -> None:
        with self._lock:
            self._owned.add((namespace, digest, owner["uid"]))
            self._pieces[namespace, digest] = count


def _chunks(first: Json) -> int:
    """In how many pieces an artifact lies, as the label of its first says, which anyone may change."""
    said = first["metadata"].get("labels", {}).get(CHUNKS, "")
    if said not in map(str, range(1, LARGEST // CHUNK_BYTES + 2)):
        name = f"{first['metadata']['namespace']}/{first['metadata']['name']}"
        raise KeyError(f"ConfigMap {name} says in its label {CHUNKS} no number of pieces; delete it")
    return int(said)


def _name(digest: str, number: int) -> str:
    plain = digest.removeprefix("sha256:")
    if len(plain) != 64 or not set(plain) <= set("0123456789abcdef"):
        raise KeyError(f"{digest!r} is no digest")
    return f"a-{plain}-{number}"
