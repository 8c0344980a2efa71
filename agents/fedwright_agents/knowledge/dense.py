"""Nearest passages by Qdrant: in memory, filled from the snapshot, or a server by URL; the same calls for both.

A server holds vectors, numbers and facets alone. Ids and texts come from the snapshot, so that nobody who can write to the server can
put words into a prompt.
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
    passage: int
    """Place in the snapshot's passages."""
    score: float
    """Cosine."""


class Passages:
    """An index of a snapshot's passages."""

    def __init__(self, snapshot: Snapshot, url: str | None = None) -> None:
        """Raises KnowledgeIndexError, as `nearest` does."""
        self._collection = f"fedwright-{snapshot.digest.removeprefix('sha256:')[:16]}"
        self._place, self._count = url or "memory", len(snapshot.vectors)
        with self._answering():
            self._client = _connected(url) if url else QdrantClient(":memory:")
            self._fill(snapshot)

    def nearest(self, vector: Sequence[float], limit: int, kinds: Sequence[Kind], facets: Facets) -> list[Hit]:
        """The nearest passages of entries that the filters keep, best first."""
        with self._answering():
            found = self._client.query_points(
                self._collection,
                query=list(vector),
                query_filter=_filter(kinds, facets),
                limit=limit,
                with_payload=False,
            )
        hits = (Hit(int(point.id), point.score) for point in found.points)
        return [hit for hit in hits if hit.passage < self._count]

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
        """The collection is named by the snapshot's digest, so one that is there and full is the right one."""
        if not self._client.collection_exists(self._collection):
            self._create(snapshot.vectors.shape[1])
        if self._client.count(self._collection).count < self._count:
            ids = list(range(self._count))
            self._client.upload_collection(
                self._collection, vectors=snapshot.vectors, payload=_payloads(snapshot), ids=ids, wait=True
            )

    def _create(self, dimension: int) -> None:
        size = models.VectorParams(size=dimension, distance=models.Distance.COSINE)
        try:
            self._client.create_collection(self._collection, vectors_config=size)
        except ApiException:  # another mind was quicker, and fills it with the same points
            if not self._client.collection_exists(self._collection):
                raise


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
