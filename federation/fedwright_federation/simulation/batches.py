"""Which samples a client's local steps see. Batches are always full: size min(B, n)."""

import numpy as np
from numpy.typing import NDArray


def reshuffled(rng: np.random.Generator, samples: int, steps: int, batch: int) -> NDArray[np.int64]:
    """[steps, batch] indices read off a stream of permutations that runs on over the ends of epochs."""
    epochs = -(-steps * batch // samples)
    order = rng.permuted(np.broadcast_to(np.arange(samples), (epochs, samples)), axis=1)
    return order.reshape(-1)[: steps * batch].reshape(steps, batch)


def independent(rng: np.random.Generator, samples: int, steps: int, batch: int) -> NDArray[np.int64]:
    """[steps, batch] indices, each batch drawn anew without replacement, as the accountant of private steps assumes."""
    return np.argsort(rng.random((steps, samples)), axis=1)[:, :batch]
