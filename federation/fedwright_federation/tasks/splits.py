"""Train, selection and test: a tag for each row that no seed and no request ever changes."""

import numpy as np
from numpy.typing import NDArray

TRAIN, SELECTION, TEST = 0, 1, 2
_PATTERN = np.array([TRAIN, SELECTION, TRAIN, TEST, TRAIN], dtype=np.int8)
_ORDER = 20170228
"""The seed of the order in which rows are dealt, the same for all."""


def split_tags(y: NDArray[np.int64], client: NDArray[np.int64] | None = None) -> NDArray[np.int8]:
    """[n], 60/20/20 within each class, and within each client's classes where rows have owners by nature."""
    order = np.random.default_rng(_ORDER).permutation(len(y))
    owner = np.zeros_like(y) if client is None else client
    dealt = np.lexsort((order, y, owner))
    tags = np.empty(len(y), dtype=np.int8)
    tags[dealt] = _PATTERN[np.arange(len(y)) % len(_PATTERN)]
    return tags
