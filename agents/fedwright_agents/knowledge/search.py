"""Hybrid search: nearest passages, matching words and names that are called, merged by reciprocal rank; then what the catalogue knows
of the circumstances that a query names, and a little less for rules.

Reciprocal rank fusion: Cormack, Clarke and Büttcher 2009.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from importlib.resources.abc import Traversable
from pathlib import Path

from fedwright_agents.knowledge.dense import Passages
from fedwright_agents.knowledge.embedding import Embedder
from fedwright_agents.knowledge.entries import Entry, Facets, Kind, clean, serving
from fedwright_agents.knowledge.glossary import terms
from fedwright_agents.knowledge.lexicon import Lexicon
from fedwright_agents.knowledge.minilm import MiniLM
from fedwright_agents.knowledge.snapshot import SHIPPED, Snapshot, extended, read
from fedwright_crds.base import Strict

LONGEST_QUERY = 2000
MOST_RESULTS = 50
LONGEST_EXCERPT = 480
SMOOTHING = 60
"""What is added to ranks, as the paper has it."""
DEPTH = 200
"""How many passages, and how many entries by words, count."""
SUITING = 0.2
"""What serving a named circumstance best adds, in first ranks: enough to order those that serve it, too little to hide other answers."""
OF_RULES = 0.95
"""What rules keep of their score. A rule is about two things that meet, and a question about one of them asks for the thing itself."""
ABOUT_RULES = frozenset(("compose", "legality"))
"""Terms of the glossary by which a query asks for rules."""
DECIMALS = 5
"""Of cosines that are told apart."""
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

    @property
    def told(self) -> str:
        """For a prompt, to be `quoted`."""
        return f"{self.id}: {self.title}\n{self.excerpt}\nSource: {self.source}"


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

        Raises ValueError for an empty query, a limit out of 1 to 50 or a facet's value that no entry has; EmbeddingError; and
        KnowledgeIndexError.
        """
        asked = _query(query)
        if not 1 <= limit <= MOST_RESULTS:
            raise ValueError(f"limit is {limit}; choose 1 to {MOST_RESULTS}")
        self._require_known(facets)
        meant = terms(asked)
        suiting = self._suiting(meant)
        sense = {} if mode is Mode.KEYWORD else self._dense(asked, meant, kinds, facets, suiting)
        words = [] if mode is Mode.DENSE else self._keyword(asked, kinds, facets)
        names = [] if mode is Mode.DENSE else self._named(asked, kinds, facets)
        ranks = fused([*sense], words, names)
        rules = 1.0 if ABOUT_RULES & set(meant) else OF_RULES
        merged = {name: self._weighed(name, score, suiting, rules) for name, score in ranks.items()}
        best = sorted(merged, key=lambda name: (-merged[name], name))[:limit]
        return tuple(_result(self._entries[name], sense.get(name), merged[name]) for name in best)

    def get(self, id: str) -> Entry:
        """Raises NoSuchEntryError."""
        if id not in self._entries:
            raise NoSuchEntryError(f"the knowledge base has no entry {clean(id)[:128]!r}; search for it first")
        return self._entries[id]

    def _require_known(self, facets: Facets) -> None:
        for name, values in facets.named().items():
            if odd := sorted(set(values) - set(self._values[name])):
                raise ValueError(f"no entry has {name} {', '.join(odd)}; choose among {', '.join(self._values[name])}")

    @cached_property
    def _values(self) -> dict[str, tuple[str, ...]]:
        """What each facet may be asked for."""
        every = [
            (name, value)
            for one in self.snapshot.entries
            for name, values in one.facets.named().items()
            for value in values
        ]
        return {name: tuple(sorted({value for key, value in every if key == name})) for name in Facets.model_fields}

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

    def _suiting(self, said: Sequence[str]) -> dict[str, float]:
        """How well each entry suits the circumstances among these terms: in all, -1 to 1."""
        return {
            entry.id: max(-1.0, min(1.0, sum(entry.suits.get(term, 0.0) for term in said)))
            for entry in self.snapshot.entries
        }

    def _weighed(self, name: str, score: float, suiting: Mapping[str, float], rules: float) -> float:
        share = rules if self._entries[name].kind is Kind.RULE else 1.0
        return share * score + suiting[name] * SUITING / (SMOOTHING + 1)

    def _dense(
        self, query: str, meant: Sequence[str], kinds: Sequence[Kind], facets: Facets, suiting: Mapping[str, float]
    ) -> dict[str, str]:
        """Entries by the passage that is nearest to the question, or to it with the terms that its words stand for, best first.

        Of equal passages, which say what an entry serves, that of the best suited entry.
        """
        asked = [query, f"{query} ({', '.join(meant)})"] if meant else [query]
        vectors = self.embedder.embed(asked)
        hits = [hit for vector in vectors for hit in self._passages.nearest(vector.tolist(), DEPTH, kinds, facets)]
        passages = self.snapshot.passages
        hits.sort(key=lambda hit: (-round(hit.score, DECIMALS), -suiting[passages[hit.passage][0]], hit.passage))
        best: dict[str, str] = {}
        for hit in hits:
            best.setdefault(*passages[hit.passage])
        return best

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
    folder: Path | Traversable = SHIPPED,
    embedder: Embedder | None = None,
    url: str | None = None,
    further: Sequence[Entry] = (),
) -> KnowledgeBase:
    """The knowledge base of a snapshot and of further entries, with the embedder that made it.

    Raises SnapshotError; EmbeddingError where the further ones cannot be embedded.
    """
    chosen = embedder or MiniLM()
    snapshot = read(folder, chosen.identity)
    return KnowledgeBase(extended(snapshot, further, chosen) if further else snapshot, chosen, url)


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
    """The excerpt is the passage that was found; the first where that is the title, and before what it merely serves."""
    first = entry.passages[:2][-1]
    excerpt = passage if passage and passage != entry.title else first
    if excerpt in map(serving, entry.suits):
        excerpt = f"{first} {excerpt}"
    return Result(
        id=entry.id,
        kind=entry.kind,
        title=entry.title,
        excerpt=excerpt if len(excerpt) <= LONGEST_EXCERPT else excerpt[: LONGEST_EXCERPT - 1] + "…",
        source=entry.source,
        score=round(score, 6),
    )
