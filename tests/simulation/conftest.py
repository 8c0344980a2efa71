"""Small federations for the tests of simulation."""

from collections.abc import Callable

import numpy as np
import pytest

from fedwright_federation.algorithm import Training
from fedwright_federation.models import Mlp
from fedwright_federation.simulation.run import RunSpec, Shard

MakeShards = Callable[..., list[Shard]]


@pytest.fixture
def make_shards() -> MakeShards:
    """`clients` shards of `features` inputs in [0, 1) and `classes` labels that depend on them, of unequal sizes."""

    def make(clients: int = 5, features: int = 8, classes: int = 3, seed: int = 0) -> list[Shard]:
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=(features, classes))
        shards = []
        for i in range(clients):
            x = rng.random((9 + 4 * i, features), dtype=np.float32)
            y = (x @ truth + rng.normal(0, 0.2, classes)).argmax(1).astype(np.int64)
            shards.append(Shard(x, y))
        return shards

    return make


@pytest.fixture
def shards(make_shards: MakeShards) -> list[Shard]:
    return make_shards()


@pytest.fixture
def softmax() -> Mlp:
    return Mlp((8,), 3)


@pytest.fixture
def mlp() -> Mlp:
    return Mlp((8,), 3, (6, 5))


@pytest.fixture
def normed() -> Mlp:
    return Mlp((8,), 3, (6,), normalised=True)


@pytest.fixture
def run() -> RunSpec:
    return RunSpec(Training(rounds=4, steps=7, batch_size=4, weight_decay=1e-3), clients=5, seed=3)
