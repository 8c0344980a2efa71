"""Hybrid search: nearest passages, matching words and names that are called, merged by reciprocal rank.

Reciprocal rank fusion: Cormack, Clarke and Büttcher 2009.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from importlib.resources.abc import Traversable
from pathlib import Path

from fedwright_agents.knowledge.dense import Hit, Passages
from fedwright_agents.knowledge.embedding import Embedder
from fedwright_agents.knowledge.entries import Entry, Facets, Kind, clean
from fedwright_agents.knowledge.glossary import terms
from fedwright_agents.knowledge.lexicon import Lexicon
from fedwright_agents.knowledge.minilm import MiniLM
from fedwright_agents.knowledge.snapshot import SHIPPED, Snapshot, read
from fedwright_crds.base import Strict

LONGEST_QUERY = 2000
MOST_RESULTS = 50
LONGEST_EXCERPT = 480
SMOOTHING = 60
"""What is added to ranks, as the paper has it."""
DEPTH = 50
"""How far down each ranking counts."""
ANY = Facets()


class Mode(StrEnum):
    HYBRID = "hybrid"
    DENSE = "dense"
    KEYWORD = "keyword"


class NoSuchEntryError(LookupError):
    """The knowledge base has no entry of this id."""


class Result(Strict):
    """An entry that was found. All texts are data."""

    id: str
    kind: Kind
    title: str
    excerpt: str
    source: str
    score: float
    """Comparable within one search alone."""


@dataclass(frozen=True)
class KnowledgeBase:
    """Keeps model and index open between queries; what is not asked for is not loaded."""

    snapshot: Snapshot
    embedder: Embedder
    url: str | None = None
    """Of a Qdrant server; in memory without."""

    def search(
        self, query: str, limit: int = 5, kinds: Sequence[Kind] = (), facets: Facets = ANY, mode: Mode = Mode.HYBRID
    ) -> tuple[Result, ...]:
        """The best entries first. `kinds` and each facet keep entries that have one of their values; empty keeps all.

        Raises ValueError for an empty query or a limit out of 1 to 50, EmbeddingError and KnowledgeIndexError.
        """
        asked = _query(query)
        if not 1 <= limit <= MOST_RESULTS:
            raise ValueError(f"limit is {limit}; choose 1 to {MOST_RESULTS}")
        hits = [] if mode is Mode.KEYWORD else self._dense(asked, kinds, facets)
        words = [] if mode is Mode.DENSE else self._keyword(asked, kinds, facets)
        names = [] if mode is Mode.DENSE else self._named(asked, kinds, facets)
        passages = {hit.entry: self.snapshot.passages[hit.passage][1] for hit in hits}
        merged = fused([hit.entry for hit in hits], words, names)
        best = sorted(merged, key=lambda name: (-merged[name], name))[:limit]
        return tuple(_result(self._entries[name], passages.get(name), merged[name]) for name in best)

    def get(self, id: str) -> Entry:
        """Raises NoSuchEntryError."""
        if id not in self._entries:
            raise NoSuchEntryError(f"the knowledge base has no entry {clean(id)[:128]!r}; search for it first")
        return self._entries[id]

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        return {entry.id: entry for entry in self.snapshot.entries}

    @cached_property
    def _lexicon(self) -> Lexicon:
        """Words of a title count twice."""
        return Lexicon({entry.id: f"{entry.title}\n{entry.title}\n{entry.text}" for entry in self.snapshot.entries})

    @cached_property
    def _passages(self) -> Passages:
        return Passages(self.snapshot, self.url)

    def _dense(self, query: str, kinds: Sequence[Kind], facets: Facets) -> list[Hit]:
        """Nearest to the question, or to the question with the terms that its words stand for."""
        asked = [query, f"{query} ({', '.join(meant)})"] if (meant := terms(query)) else [query]
        hits = [
            hit
            for vector in self.embedder.embed(asked)
            for hit in self._passages.nearest(vector.tolist(), DEPTH, kinds, facets)
        ]
        best: dict[str, Hit] = {}
        for hit in sorted(hits, key=lambda hit: (-hit.score, hit.entry)):
            if hit.entry in self._entries:
                best.setdefault(hit.entry, hit)
        return list(best.values())[:DEPTH]

    def _keyword(self, query: str, kinds: Sequence[Kind], facets: Facets) -> list[str]:
        scores = self._lexicon.scores(query)
        kept = [name for name in scores if _keeps(self._entries[name], kinds, facets)]
        return sorted(kept, key=lambda name: (-scores[name], name))[:DEPTH]

    def _named(self, query: str, kinds: Sequence[Kind], facets: Facets) -> list[str]:
        """Methods and parts that the query calls by name; parts as they are spelled, since many are plain words otherwise."""
        said = dict.fromkeys(re.findall(r"\w+", query))
        asked = [*(f"part/{word}" for word in said), *(f"method/{word.lower()}" for word in said)]
        return [name for name in asked if name in self._entries and _keeps(self._entries[name], kinds, facets)]


def open_knowledge(
    folder: Path | Traversable = SHIPPED, embedder: Embedder | None = None, url: str | None = None
) -> KnowledgeBase:
    """The knowledge base of a snapshot, with the embedder that made it. Raises SnapshotError."""
    chosen = embedder or MiniLM()
    return KnowledgeBase(read(folder, chosen.identity), chosen, url)


def fused(*rankings: Sequence[str]) -> dict[str, float]:
    """The sum over rankings of 1 / (SMOOTHING + rank), ranks from 1."""
    scores: dict[str, float] = {}
    for names in rankings:
        for rank, name in enumerate(names, start=1):
            scores[name] = scores.get(name, 0.0) + 1 / (SMOOTHING + rank)
    return scores


def _query(query: str) -> str:
    asked = " ".join(clean(query).split())[:LONGEST_QUERY]
    if not asked:
        raise ValueError("the query is empty; say in words what you look for")
    return asked


def _keeps(entry: Entry, kinds: Sequence[Kind], facets: Facets) -> bool:
    return (not kinds or entry.kind in kinds) and entry.facets.match(facets)


def _result(entry: Entry, passage: str | None, score: float) -> Result:
    excerpt = passage or entry.passages[0]
    return Result(
        id=entry.id,
        kind=entry.kind,
        title=entry.title,
        excerpt=excerpt if len(excerpt) <= LONGEST_EXCERPT else excerpt[: LONGEST_EXCERPT - 1] + "…",
        source=entry.source,
        score=round(score, 6),
    )
