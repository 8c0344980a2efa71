"""Rows as a source gives them, before any client, split or variation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Raw:
    """x [n, *shape] float32, y [n] int64 from 0 to classes - 1. `client` [n] where the source itself says whose a row is."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    classes: int
    client: NDArray[np.int64] | None = None
