"""One independent random stream for each purpose, so that runs pair by seed whatever else they draw."""

import zlib
from collections.abc import Callable

import numpy as np


def stream(seed: int, purpose: str, round_number: int = 0, client: int = 0, salt: int = 0) -> np.random.Generator:
    """A fresh generator that depends on these values alone. Purposes are words such as `cohort`, `batches`, `codec`."""
    entropy = [seed, zlib.crc32(purpose.encode()), round_number, client, salt]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def streams_of(seed: int, round_number: int) -> Callable[[str, int], np.random.Generator]:
    """The streams of one round, as parts may draw them."""
    return lambda purpose, client: stream(seed, purpose, round_number, client)
