"""Nearest passages by Qdrant: in memory, filled from the snapshot, or a server by URL; the same calls for both.

A server holds vectors, ids and facets alone. Texts come from the snapshot, so that nobody who can write to the server can put words
into a prompt.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException

from fedwright_agents.knowledge.entries import Entry, Facets, Kind
from fedwright_agents.knowledge.snapshot import Snapshot

TIMEOUT_SECONDS = 10


class KnowledgeIndexError(ValueError):
    """The vector index cannot be reached or does not answer."""


@dataclass(frozen=True)
class Hit:
    entry: str
    passage: int
    """Place in the snapshot's passages."""
    score: float
    """Cosine."""


class Passages:
    """An index of a snapshot's passages."""

    def __init__(self, snapshot: Snapshot, url: str | None = None) -> None:
        """Raises KnowledgeIndexError, as `nearest` does."""
        self._collection = f"fedwright-{snapshot.digest.removeprefix('sha256:')[:16]}"
        self._place = url or "memory"
        with self._answering():
            self._client = _connected(url) if url else QdrantClient(":memory:")
            self._fill(snapshot)

    def nearest(self, vector: Sequence[float], limit: int, kinds: Sequence[Kind], facets: Facets) -> list[Hit]:
        """The nearest passage of each of the `limit` nearest entries, best first."""
        with self._answering():
            found = self._client.query_points_groups(
                self._collection,
                group_by="entry",
                query=list(vector),
                query_filter=_filter(kinds, facets),
                limit=limit,
                group_size=1,
                with_payload=False,
            )
        hits = [(str(group.id), point) for group in found.groups for point in group.hits]
        return [Hit(entry, int(point.id), point.score) for entry, point in hits]

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (ApiException, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise KnowledgeIndexError(
                f"Qdrant at {self._place} does not serve ({reason}); check the URL, or leave it out"
            ) from error

    def _fill(self, snapshot: Snapshot) -> None:
        """The collection is named by the snapshot's digest, so one that is there and complete is the right one."""
        count = len(snapshot.vectors)
        if self._client.collection_exists(self._collection):
            if self._client.count(self._collection).count == count:
                return
            self._client.delete_collection(self._collection)
        size = models.VectorParams(size=snapshot.vectors.shape[1], distance=models.Distance.COSINE)
        self._client.create_collection(self._collection, vectors_config=size)
        self._client.upload_collection(
            self._collection, vectors=snapshot.vectors, payload=_payloads(snapshot), ids=list(range(count)), wait=True
        )


def _connected(url: str) -> QdrantClient:
    return QdrantClient(url=url, timeout=TIMEOUT_SECONDS, check_compatibility=False)


def _payloads(snapshot: Snapshot) -> list[dict[str, object]]:
    return [_payload(entry) for entry in snapshot.entries for _ in entry.passages]


def _payload(entry: Entry) -> dict[str, object]:
    return {
        "entry": entry.id,
        "kind": str(entry.kind),
        **{name: [*values] for name, values in entry.facets.named().items()},
    }


def _filter(kinds: Sequence[Kind], facets: Facets) -> models.Filter | None:
    wanted: Mapping[str, Sequence[str]] = {"kind": [str(kind) for kind in kinds], **facets.named()}
    conditions = [
        models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))
        for key, values in wanted.items()
        if values
    ]
    return models.Filter(must=[*conditions]) if conditions else None
