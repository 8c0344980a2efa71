"""HeteroFL: slices nest, every coordinate is the mean of those who hold it, and a class's row of those who own the class."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from federations import Net, accuracy, batches, by_label, digits, federate, final, prepare, same, spec, tensors, tiny

from fedwright_federation.algorithm import CLASSES, ClientInfo, CrossEntropy, IllegalStrategyError, Tree, require_legal
from fedwright_federation.models import Cnn, Mlp
from fedwright_federation.parts.weighting import Uniform
from fedwright_federation.parts.widths import MaskedCrossEntropy, WidthSlices
from fedwright_federation.simulation.run import RunSpec, Shard
from fedwright_federation.strategies.fedavg import fedavg
from fedwright_federation.strategies.heterofl import heterofl

MODEL = Mlp((6,), 3, (8,))


def test_where_everyone_holds_all_it_is_uniform_fedavg_to_the_bit() -> None:
    run, shards = spec(), tiny()
    assert same(
        final(heterofl(0.2), MODEL, shards, run), final(replace(fedavg(0.2), weighting=Uniform()), MODEL, shards, run)
    )


@pytest.mark.parametrize(
    ("capability", "rate"), [(1.0, 1.0), (0.99, 0.5), (0.5, 0.5), (0.3, 0.25), (0.06, 0.125), (0.01, 0.125)]
)
def test_a_rate_is_the_greatest_power_of_a_half_that_the_device_allows(capability: float, rate: float) -> None:
    assert WidthSlices(smallest=0.125).rate(ClientInfo(0, 10, capability=capability)) == rate


@pytest.mark.parametrize("model", [Mlp((6,), 3, (5, 7), True), Cnn((4, 4), 3, (3, 4), True)])
def test_slices_are_prefixes_of_hidden_axes_and_nest(model: Mlp | Cnn) -> None:
    x = model.init(0)
    round = spec().round(1, model)
    cut = {}
    for rate in (0.5, 0.25):
        frame = WidthSlices().frame(ClientInfo(0, 10, capability=rate), x, round)
        assert frame
        cut[rate] = frame.down(x)
    for key, value in x.items():
        expected = tuple(
            math.ceil(size / 2) if group not in {None, CLASSES} else size
            for size, group in zip(value.shape, model.axes(key), strict=True)
        )
        assert cut[0.5][key].shape == expected
        assert np.array_equal(cut[0.5][key], value[tuple(slice(n) for n in expected)])
        quarter = cut[0.25][key]
        assert np.array_equal(quarter, cut[0.5][key][tuple(slice(n) for n in quarter.shape)])
    assert cut[0.5]["head.bias"].shape == (3,)


def labelled() -> list[Shard]:
    """Client 1 lacks class 2, client 2 lacks class 0, nobody but client 0 and 3 has all."""
    shards = tiny()
    for i, lacking in ((1, 2), (2, 0)):
        kept = shards[i].y != lacking
        shards[i] = Shard(shards[i].x[kept], shards[i].y[kept])
    return shards


def by_hand(shards: list[Shard], widths: list[int], run: RunSpec, lr: float, instead: float) -> Tree:
    """Algorithm 1 of the paper with masked loss, and rows of the head that count the owners of their class."""
    x = Net.of(MODEL.init(run.seed)).weights
    for number in range(1, run.training.rounds + 1):
        sums = {key: np.zeros_like(value) for key, value in x.items()}
        counts = {key: np.zeros_like(value) for key, value in x.items()}
        for i, shard in enumerate(shards):
            w = widths[i]
            own = {
                "body.0.weight": (slice(None), slice(w)),
                "body.0.bias": (slice(w),),
                "head.weight": (slice(w), slice(None)),
                "head.bias": (slice(None),),
            }
            net = Net({key: x[key][where].copy() for key, where in own.items()})
            kept = np.isin(np.arange(3), shard.y).astype(np.float64)
            for rows in batches(run, number, i, len(shard.y)):
                net.move(net.gradient(shard.x[rows], shard.y[rows], kept, instead), lr)
            for key, where in own.items():
                counted = kept if key.startswith("head") else np.ones(net.weights[key].shape)
                sums[key][where] += net.weights[key] * counted
                counts[key][where] += counted
        x = {key: np.where(counts[key] > 0, sums[key] / np.maximum(counts[key], 1), x[key]) for key in x}
    return {key: value.astype(np.float32) for key, value in x.items()}


@pytest.mark.parametrize(("zero", "instead"), [(False, -np.inf), (True, 0.0)], ids=["left out", "zero"])
def test_rounds_equal_the_algorithm_written_out(zero: bool, instead: float) -> None:
    run, shards = spec(rounds=3, steps=6), labelled()
    strategy = replace(heterofl(0.2, smallest=0.125), losses=(MaskedCrossEntropy(zero),))
    simulation = federate(strategy, MODEL, shards, run, capabilities=[1.0, 0.5, 0.25, 0.5])
    expected = by_hand(shards, [8, 4, 2, 4], run, 0.2, instead)
    assert all(np.allclose(simulation.server.x[key], expected[key], atol=2e-6) for key in expected)


def test_both_executors_agree() -> None:
    run, shards, capabilities = spec(), labelled(), [1.0, 0.5, 0.25, 0.5]
    one, many = (
        federate(heterofl(0.2), MODEL, shards, run, capabilities, executor).server.x
        for executor in ("sequential", "cohort")
    )
    assert all(np.allclose(one[key], many[key], atol=1e-6) for key in one)


def test_coordinates_without_holders_do_not_move() -> None:
    run = spec()
    simulation = federate(heterofl(0.2), MODEL, tiny(), run, capabilities=[0.5, 0.25, 0.5, 0.25])
    before, after = MODEL.init(run.seed), simulation.server.x
    assert np.array_equal(after["body.0.weight"][:, 4:], before["body.0.weight"][:, 4:])
    assert np.array_equal(after["head.weight"][4:], before["head.weight"][4:])
    assert not np.any(after["body.0.weight"][:, :4] == before["body.0.weight"][:, :4])


def test_a_class_that_nobody_holds_keeps_its_row() -> None:
    shards = [Shard(s.x[s.y != 1], s.y[s.y != 1]) for s in tiny()]
    run = spec()
    before, after = MODEL.init(run.seed), final(heterofl(0.2), MODEL, shards, run)
    assert np.array_equal(after["head.weight"][:, 1], before["head.weight"][:, 1])
    assert after["head.bias"][1] == before["head.bias"][1]


def test_weak_clients_send_and_receive_their_slice_alone() -> None:
    run = spec(rounds=1)
    simulation = prepare(heterofl(0.2), MODEL, tiny(), run, capabilities=[1.0, 0.5, 0.5, 0.25])
    sizes = {i: sum(a.size for a in d.model.values()) for i, d in simulation.server.configure(1).items()}
    assert sizes == {i: (6 + 1 + 3) * w + 3 for i, w in enumerate((8, 4, 4, 2))}


def test_the_scaler_undoes_thinness_in_training_alone() -> None:
    model = WidthSlices(scaler=True).model(MODEL)
    frame = WidthSlices().frame(ClientInfo(0, 10, capability=0.25), MODEL.init(0), spec().round(1, MODEL))
    assert frame
    thin, x = frame.down(MODEL.init(0)), tiny()[0].x
    net = Net.of(thin)
    plain, fourfold = net.logits(x), net.copy()
    for key in ("body.0.weight", "body.0.bias"):
        fourfold.weights[key] *= 4
    trained, judged = (
        model.forward(tensors(thin), torch.from_numpy(x), train).logits.numpy() for train in (True, False)
    )
    assert np.allclose(judged, plain, atol=1e-5)
    assert np.allclose(trained, fourfold.logits(x), atol=1e-5)


def test_running_statistics_are_the_mean_over_holders() -> None:
    model, run, shards = Mlp((6,), 3, (8,), True), spec(rounds=1), tiny()
    simulation = prepare(heterofl(0.2), model, shards, run, capabilities=[1.0, 0.5, 0.5, 0.5])
    uploads = simulation._train(simulation.server.configure(1))
    simulation.server.aggregate(1, uploads)
    before, after = model.init(run.seed)["norm.0.mean"], simulation.server.x["norm.0.mean"]
    moves = [upload.statistics["norm.0.mean"] for upload in uploads.values() if upload]
    assert np.allclose(after[4:], before[4:] + moves[0][4:], atol=1e-6)
    assert np.allclose(after[:4], before[:4] + np.mean([move[:4] for move in moves], axis=0), atol=1e-6)


def test_a_model_without_hidden_layers_is_refused() -> None:
    with pytest.raises(IllegalStrategyError, match="width"):
        require_legal(heterofl(), Mlp((6,), 3))


def test_weak_clients_that_take_part_are_worth_more_than_weak_clients_left_out() -> None:
    """Where the four strong clients hold six of the ten labels between them."""
    train, test = digits()
    shards, model = by_label(train, 20, 2, seed=2), Mlp((64,), 10, (64,))
    capabilities = [1.0] * 4 + [0.25] * 16
    run = spec(rounds=25, steps=10, clients=20, batch=16)
    everyone = federate(heterofl(0.3), model, shards, run, capabilities, "cohort")
    strong = federate(fedavg(0.3), model, shards[:4], spec(rounds=25, steps=10, clients=4, batch=16), executor="cohort")
    unmasked = federate(replace(heterofl(0.3), losses=(CrossEntropy(),)), model, shards, run, capabilities, "cohort")
    assert accuracy(everyone, test) > accuracy(strong, test) + 0.15
    assert accuracy(everyone, test) > accuracy(unmasked, test) + 0.1
