"""Digits whose clients differ in how many they hold and in nothing else: an entry point for requests, used by `fedwright bench`."""

import numpy as np
from numpy.typing import NDArray

from fedwright_crds.task import Data, DataSource
from fedwright_federation.tasks.sources import DRAWS, load_raw

CLIENTS = 16
LEAST = 40
"""Rows of a client; the rest is dealt by Zipf's law."""


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """x [n, 1, 8, 8], y [n], client [n]: client k holds LEAST rows and a share of the rest in proportion to 1 / (k + 1)."""
    raw = load_raw(Data(source=DataSource.DIGITS), CLIENTS)
    owner = np.repeat(np.arange(CLIENTS), _sizes(len(raw.y)))
    return raw.x, raw.y, np.random.default_rng(DRAWS).permutation(owner)


def _sizes(rows: int) -> NDArray[np.int64]:
    """[CLIENTS], greatest first; they sum to `rows`."""
    shares = 1 / np.arange(1, CLIENTS + 1)
    ends = np.rint(np.cumsum(shares / shares.sum()) * (rows - LEAST * CLIENTS))
    sizes: NDArray[np.int64] = np.diff(ends, prepend=0.0).astype(np.int64)
    return sizes + LEAST
