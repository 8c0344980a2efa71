"""How updates become messages."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedwright_federation.algorithm import Array, Arrays, Codec, Round, Tree


@dataclass(frozen=True)
class Qsgd(Codec):
    """Unbiased stochastic quantisation with one norm a tensor (Alistarh et al. 2017, section 3.1; FedPAQ, example 1).

    Q(d)_j = ||d|| sign(d_j) l_j / s, with l_j = s |d_j| / ||d|| rounded up or down at random so that E[Q(d)] = d. On the
    wire a tensor is its norm (float32) and 1 + ceil(log2(s + 1)) bits a coordinate.
    """

    levels: int = 1
    """s, at least 1."""

    features = frozenset({"quantised"})

    def __post_init__(self) -> None:
        if not 1 <= self.levels <= 2**15:
            raise ValueError(f"Qsgd.levels is {self.levels}; choose 1 to {2**15}")

    @property
    def bits(self) -> int:
        return 1 + math.ceil(math.log2(self.levels + 1))

    def encode(self, update: Tree, memory: Tree, rng: np.random.Generator, round: Round) -> tuple[Arrays, Tree]:
        del memory, round
        keys = sorted(update)
        norms = np.array([np.linalg.norm(update[key].astype(np.float64)) for key in keys], dtype=np.float32)
        codes = [self._quantise(update[key], norm, rng) for key, norm in zip(keys, norms, strict=True)]
        return {"norms": norms, "codes": pack_bits(np.concatenate(codes), self.bits)}, {}

    def decode(self, message: Arrays, like: Tree, round: Round) -> Tree:
        del round
        keys = sorted(like)
        norms = np.asarray(message["norms"], dtype=np.float32)
        sizes = [like[key].size for key in keys]
        codes = unpack_bits(message["codes"], self.bits, sum(sizes))
        parts = np.split(codes, np.cumsum(sizes)[:-1])
        decoded = {key: self._restore(part, norm) for key, part, norm in zip(keys, parts, norms, strict=True)}
        return {key: decoded[key].reshape(value.shape) for key, value in like.items()}

    def _quantise(self, tensor: Array, norm: np.float32, rng: np.random.Generator) -> NDArray[np.uint32]:
        """The level, and the sign in the bit above it. A tensor of no finite length becomes zeros: its norm tells."""
        flat = tensor.reshape(-1).astype(np.float64)
        if not np.isfinite(norm) or norm == 0:
            return np.zeros(flat.size, dtype=np.uint32)
        exact = np.minimum(np.abs(flat) * (self.levels / float(norm)), self.levels)
        level = np.floor(exact)
        level += rng.random(flat.size) < exact - level
        return level.astype(np.uint32) | ((flat < 0).astype(np.uint32) << np.uint32(self.bits - 1))

    def _restore(self, codes: NDArray[np.uint32], norm: np.float32) -> Array:
        top = np.uint32(1 << (self.bits - 1))
        level = (codes & (top - np.uint32(1))).astype(np.float32)
        return np.where(codes & top, -level, level) * (norm / np.float32(self.levels))


def pack_bits(codes: NDArray[np.uint32], bits: int) -> NDArray[np.uint8]:
    """The low `bits` of each code, one after the other."""
    spread = (codes[:, None] >> np.arange(bits - 1, -1, -1, dtype=np.uint32)) & np.uint32(1)
    return np.packbits(spread.astype(np.uint8).reshape(-1))


def unpack_bits(packed: NDArray[np.generic], bits: int, count: int) -> NDArray[np.uint32]:
    """The inverse of `pack_bits`. Raises ValueError if it is too short."""
    spread = np.unpackbits(np.asarray(packed, dtype=np.uint8), count=bits * count).reshape(count, bits)
    return spread.astype(np.uint32) @ (np.uint32(1) << np.arange(bits - 1, -1, -1, dtype=np.uint32))
