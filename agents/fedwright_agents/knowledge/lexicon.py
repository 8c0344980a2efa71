"""Words of a text, and how well documents match a query by them: BM25 (Robertson and Zaragoza 2009)."""

import math
import re
from collections import Counter
from collections.abc import Mapping

from fedwright_agents.knowledge.glossary import terms

SATURATION = 1.2
LENGTH = 0.3
"""BM25's k1, as usual, and its b, less than usual: entries are long by their kind and not by what they are about."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_STOP = frozenset(
    (
        "a an and are as at be been but by can could do does for from get has have how i if in into is it its may "
        "me more my no not of on or our should so some than that the their them then there these they this to "
        "want was we what when where which while who why will with would you your"
    ).split()
)
_ENDINGS = (
    "isations izations isation ization ising izing ings ised ized ises izes ies ing ers ed er es ly al s e".split()
)


def stems(text: str) -> list[str]:
    """In order, without stop words; names such as ControlVariate as their words and as one; then the glossary's terms, marked as such."""
    parts = (part for name in re.findall(r"\w+", text) for part in dict.fromkeys([name, *_WORD.findall(name)]))
    return [
        *(_stem(word) for part in parts if (word := part.lower()) not in _STOP),
        *(f"<{term}>" for term in terms(text)),
    ]


def _stem(word: str) -> str:
    ending = next((one for one in _ENDINGS if word.endswith(one) and len(word) - len(one) >= 3), "")
    return word[: len(word) - len(ending)]


class Lexicon:
    """An index of documents by id."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._counts = {name: Counter(stems(text)) for name, text in documents.items()}
        self._lengths = {name: counts.total() for name, counts in self._counts.items()}
        self._mean = sum(self._lengths.values()) / max(1, len(documents))
        self._holders = Counter(word for counts in self._counts.values() for word in counts)

    def scores(self, query: str) -> dict[str, float]:
        """Of documents that share a word with the query."""
        words = dict.fromkeys(stems(query))
        found = {name: sum(self._score(name, word) for word in words) for name in self._counts}
        return {name: score for name, score in found.items() if score > 0}

    def _score(self, name: str, word: str) -> float:
        count = self._counts[name][word]
        if not count:
            return 0.0
        holders = self._holders[word]
        rarity = math.log(1 + (len(self._counts) - holders + 0.5) / (holders + 0.5))
        norm = 1 - LENGTH + LENGTH * self._lengths[name] / self._mean
        return rarity * count * (SATURATION + 1) / (count + SATURATION * norm)
