"""How texts become vectors: the protocol, and models that litellm reaches. `minilm` is the one that needs no network."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32]
"""[n, d], one row a text, each of Euclidean length 1."""


class EmbeddingError(Exception):
    """Texts could not be embedded."""


class Embedder(Protocol):
    @property
    def identity(self) -> str:
        """Equal for two embedders exactly if their vectors may be compared."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors: ...


@dataclass(frozen=True)
class Hosted:
    """A model behind litellm, named as litellm names it (`openai/text-embedding-3-small`, `ollama/nomic-embed-text`).

    litellm takes the key from its own environment variables. `api_base` is for servers at another address.
    """

    model: str
    api_base: str | None = None
    timeout_seconds: float = 60.0
    texts_per_call: int = 64

    @property
    def identity(self) -> str:
        return f"litellm/{self.model}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Raises EmbeddingError."""
        starts = range(0, len(texts), self.texts_per_call)
        rows = [row for first in starts for row in self._ask(list(texts[first : first + self.texts_per_call]))]
        return _unit(rows, self.model)

    def _ask(self, texts: list[str]) -> list[list[float]]:
        # litellm takes seconds to import and would fetch a list of prices.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        import litellm

        try:
            with asyncio.Runner() as runner:
                runner.get_loop()  # litellm asks this thread for its loop; where there is none it would leave one open
                answer: Any = litellm.embedding(
                    model=self.model, input=texts, api_base=self.api_base, timeout=self.timeout_seconds
                )
            rows: list[list[float]] = [one["embedding"] for one in answer.data]
        except Exception as error:  # litellm raises its providers' own kinds
            raise EmbeddingError(f"{self.model} embeds nothing: {type(error).__name__}: {error}"[:1000]) from error
        if len(rows) != len(texts):
            raise EmbeddingError(f"{self.model} gave {len(rows)} vectors for {len(texts)} texts")
        return rows


def _unit(rows: list[list[float]], model: str) -> Vectors:
    try:
        with np.errstate(over="ignore"):
            vectors = np.array(rows, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise EmbeddingError(f"{model} gave something else than vectors of one length") from error
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if vectors.ndim != 2 or not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise EmbeddingError(f"{model} gave vectors that are empty, zero or not finite")
    return np.asarray(vectors / lengths, dtype=np.float32)
