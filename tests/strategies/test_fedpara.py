"""FedPara: weights composed of factors have their rank, their size on the wire, and slices that stay slices."""

import math

import numpy as np
import pytest
from federations import accuracy, close, digits, federate, final, iid, prepare, same, spec, tensors, tiny

from fedwright_federation.algorithm import IllegalStrategyError, require_legal
from fedwright_federation.models import Cnn, Mlp
from fedwright_federation.parts.factors import WithFactors, factored, rank
from fedwright_federation.strategies.fedavg import fedavg
from fedwright_federation.strategies.fedpara import fedpara

MODEL = Mlp((20,), 3, (16, 12))


def factors(model: Mlp | Cnn, gamma: float = 0.1, personal: bool = False) -> WithFactors:
    return WithFactors(model, gamma, 0, personal)


def test_with_every_block_dense_it_is_fedavg_to_the_bit() -> None:
    run, shards = spec(), tiny(features=20)
    dense = fedpara(0.2, smallest=10**6)
    assert same(final(dense, MODEL, shards, run), final(fedavg(0.2), MODEL, shards, run))


@pytest.mark.parametrize(("m", "n", "r"), [(20, 16, 2), (20, 16, 3), (9, 30, 2), (32, 32, 5), (32, 32, 6)])
def test_the_rank_is_the_square_of_the_factors_rank(m: int, n: int, r: int) -> None:
    rng = np.random.default_rng(0)
    model = WithFactors(Mlp((m,), 3, (n,)), 0.0, 0, False)
    tree = {
        f"body.0.weight.{name}": rng.normal(size=(size, r)).astype(np.float32)
        for name, size in (("x1", m), ("y1", n), ("x2", m), ("y2", n))
    }
    first, second = (tree[f"body.0.weight.x{i}"] @ tree[f"body.0.weight.y{i}"].T for i in (1, 2))
    expected = first * second
    found = model.composed(tensors(tree))["body.0.weight"].numpy()
    assert np.allclose(found, expected, atol=1e-4)
    assert np.linalg.matrix_rank(found.astype(np.float64), tol=1e-3) == min(r * r, m, n)


def test_ranks_go_from_the_least_that_can_be_full_to_the_greatest_that_saves() -> None:
    for m, n in ((64, 64), (100, 30), (784, 64)):
        least, greatest = rank(m, n, 1, 0.0), rank(m, n, 1, 1.0)
        assert least == math.ceil(math.sqrt(min(m, n))) < greatest
        assert 2 * greatest * (m + n) < m * n <= 2 * (greatest + 1) * (m + n)
        assert least <= rank(m, n, 1, 0.5) <= greatest
    assert rank(6, 5, 1, 0.0) == 0, "six by five would only grow"
    assert rank(16, 1, 9, 0.0) == 0


@pytest.mark.parametrize("personal", [False, True])
def test_convolutions_are_tucker_products(personal: bool) -> None:
    """W[o, i] = sum_ab X[o, a] Y[i, b] T[a, b] for both halves, written out as loops."""
    model = factors(Cnn((8, 8), 3, (4, 16)), gamma=0.0, personal=personal)
    (key,) = factored(model)
    tree = {name: value + np.float32(0.1) for name, value in model.init(3).items()}
    halves = []
    for side in "12":
        x, y, t = (tree[f"{key}.{letter}{side}"].astype(np.float64) for letter in "xyt")
        half = np.zeros((16, 4, 3, 3))
        for o, i, a, b in np.ndindex(16, 4, x.shape[1], y.shape[1]):
            half[o, i] += x[o, a] * y[i, b] * t[a, b]
        halves.append(half)
    expected = halves[0] * (halves[1] + 1 if personal else halves[1])
    assert np.allclose(model.composed(tensors(tree))[key].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("model", [Mlp((64,), 10, (64, 48)), Cnn((8, 8), 10, (16, 24))])
@pytest.mark.parametrize("personal", [False, True])
def test_composed_weights_vary_as_much_as_the_models_own_at_the_start(model: Mlp | Cnn, personal: bool) -> None:
    surgery = factors(model, personal=personal)
    assert factored(surgery)
    for key in factored(surgery):
        own = np.mean([model.init(seed)[key].var() for seed in range(8)])
        found = np.mean([surgery.composed(tensors(surgery.init(seed)))[key].numpy().var() for seed in range(8)])
        assert 0.5 * own < found < 2 * own


def test_messages_hold_factors_and_are_smaller_by_their_share() -> None:
    model, run, train = Mlp((64,), 10, (64,)), spec(rounds=1), digits()[0]
    r = rank(64, 64, 1, 0.1)
    simulation = prepare(fedpara(0.1, gamma=0.1), model, iid(train, 4), run)
    for client, download in simulation.server.configure(1).items():
        dense = 64 + 64 * 10 + 10
        assert sum(array.size for array in download.model.values()) == 2 * r * 128 + dense, client
    assert simulation.step().upload_bytes < 4 * 4 * (2 * r * 128 + dense) + 4 * 400


def test_the_personal_half_never_travels_and_differs_between_clients() -> None:
    model, train = Mlp((64,), 10, (64,)), digits()[0]
    simulation = prepare(fedpara(0.2, personal=1), model, iid(train, 4), spec())
    for _ in range(2):
        downloads = simulation.server.configure(simulation.round + 1)
        assert not any(key.endswith("2") for download in downloads.values() for key in download.model)
        simulation.step()
    private = [simulation.memories[i].private for i in range(4)]
    assert private[0].keys() == {"body.0.weight.x2", "body.0.weight.y2"}
    assert not np.allclose(private[0]["body.0.weight.y2"], private[1]["body.0.weight.y2"])


def test_rows_of_the_factors_are_a_slice_of_the_weights() -> None:
    """What makes FedPara and width slices go together: ranks have no group, so they are never cut."""
    model = factors(Mlp((20,), 3, (32, 32)), gamma=0.0)
    tree = model.init(0)
    whole = model.composed(tensors(tree))["body.1.weight"].numpy()
    assert {key: model.axes(key) for key in tree if key.startswith("body.1.weight")} == {
        "body.1.weight.x1": ("hidden.0", None),
        "body.1.weight.y1": ("hidden.1", None),
        "body.1.weight.x2": ("hidden.0", None),
        "body.1.weight.y2": ("hidden.1", None),
    }
    cut = {
        key: value[
            tuple(
                slice(n // 2) if group else slice(None) for n, group in zip(value.shape, model.axes(key), strict=True)
            )
        ]
        for key, value in tree.items()
    }
    assert np.allclose(model.composed(tensors(cut))["body.1.weight"].numpy(), whole[:16, :16], atol=1e-6)


def test_both_executors_agree() -> None:
    for model, features in ((MODEL, 20), (Cnn((8, 8), 3, (4, 16)), 64)):
        shards = tiny(features=features)
        one, many = (
            federate(fedpara(0.1), model, shards, spec(), executor=how).server.x for how in ("sequential", "cohort")
        )
        assert close(one, many, 1e-5)


def test_it_needs_a_body() -> None:
    with pytest.raises(IllegalStrategyError, match="body"):
        require_legal(fedpara(), Mlp((6,), 3))


def test_fewer_coordinates_learn_nearly_as_well() -> None:
    train, test = digits()
    model, run = Mlp((64,), 10, (64, 64)), spec(rounds=15, steps=20, clients=10, batch=16)
    dense, thin = (
        federate(strategy, model, iid(train, 10), run, executor="cohort") for strategy in (fedavg(0.3), fedpara(0.3))
    )
    sizes = [sum(value.size for value in simulation.server.x.values()) for simulation in (dense, thin)]
    assert sizes[1] < 0.62 * sizes[0]
    assert accuracy(thin, test) > accuracy(dense, test) - 0.03
