"""FedDM: clients send synthetic samples and nothing else, and the server learns from this round's alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from federations import Net, accuracy, by_label, digits, federate, prepare, same, spec, tensors, tiny
from numpy.typing import NDArray

from fedwright_federation.algorithm import Aggregate, IllegalStrategyError, Sgd, Tree, require_legal
from fedwright_federation.models import Cnn, Mlp
from fedwright_federation.parts.synthetic import DistributionMatching, TrainOnUnion, near, within
from fedwright_federation.simulation.run import Shard
from fedwright_federation.strategies.fedavg import fedavg
from fedwright_federation.strategies.feddm import feddm

MODEL = Mlp((6,), 3, (5,))


def small(**changes: float) -> dict[str, float]:
    return {"per_class": 2, "match_steps": 3, "server_steps": 4, "match_lr": 0.5, **changes}


def made(shard: Shard, **changes: float) -> Tree:
    """One client's samples in one round on MODEL."""
    simulation = prepare(feddm(**small(**changes)), MODEL, [shard], spec(clients=1))  # type: ignore[arg-type]
    upload = simulation._train(simulation.server.configure(1))[0]
    assert upload
    return upload.payload["synthetic"]


def gap(net: Net, real: NDArray[np.float32], own: NDArray[np.floating]) -> float:
    """||mean h(D) - mean h(S)||^2 + ||mean z(D) - mean z(S)||^2."""
    pairs = [(f(real.astype(np.float64)).mean(0), f(own.astype(np.float64)).mean(0)) for f in (net.hidden, net.logits)]
    return float(sum(np.square(a - b).sum() for a, b in pairs))


def test_a_step_on_the_samples_follows_the_slope_of_the_gap() -> None:
    shard = tiny()[0]
    before, after = (
        made(shard, match_steps=1, match_lr=0.0, radius=0.0),
        made(shard, match_steps=1, match_lr=0.01, radius=0.0),
    )
    net, moved = Net.of(MODEL.init(1)), (before["x"] - after["x"]) / 0.01
    for label in range(3):
        rows, real = before["y"] == label, shard.x[shard.y == label]
        start = before["x"][rows].astype(np.float64)
        slope = np.zeros_like(start)
        for place in np.ndindex(start.shape):
            bump = np.zeros_like(start)
            bump[place] = 1e-5
            slope[place] = (gap(net, real, start + bump) - gap(net, real, start - bump)) / 2e-5
        assert np.allclose(moved[rows], slope, atol=1e-3)


def test_matching_closes_the_gap_of_every_class() -> None:
    shard = tiny()[3]
    net = Net.of(MODEL.init(1))
    before, after = (made(shard, per_class=8, match_steps=steps, match_lr=2.0, radius=0.0) for steps in (1, 200))
    for label in range(3):
        real = shard.x[shard.y == label]
        first, last = (gap(net, real, found["x"][found["y"] == label]) for found in (before, after))
        assert last < 0.01 * first


def test_classes_are_matched_apart() -> None:
    """The samples of class 0 do not depend on what else the client holds."""
    shard = tiny()[1]
    alone = Shard(shard.x[shard.y == 0], shard.y[shard.y == 0])
    both, one = made(shard, radius=0.0), made(alone, radius=0.0)
    assert np.allclose(both["x"][both["y"] == 0], one["x"], atol=1e-5)


def test_samples_can_start_from_real_ones() -> None:
    shard = tiny()[0]
    found = made(shard, match_lr=0.0, from_real=1)
    for x, y in zip(found["x"], found["y"], strict=True):
        assert any(np.array_equal(x, real) for real in shard.x[shard.y == int(y)])


def test_a_client_makes_samples_of_its_own_labels_alone() -> None:
    shard = tiny()[2]
    found = made(Shard(shard.x[shard.y != 1], shard.y[shard.y != 1]), per_class=4)
    assert found["x"].shape == (8, 6)
    assert found["y"].tolist() == [0.0] * 4 + [2.0] * 4


def test_uploads_hold_data_and_no_weights() -> None:
    simulation = prepare(feddm(**small()), MODEL, tiny(), spec())  # type: ignore[arg-type]
    for upload in simulation._train(simulation.server.configure(1)).values():
        assert upload
        assert upload.update == {}
        assert upload.payload.keys() == {"synthetic"}
        assert upload.size < 6 * 7 * 4 + 200


def test_the_server_trains_on_the_union_within_the_ball() -> None:
    """One full-batch step equals a step by hand; a long walk ends on the ball's surface."""
    x, y = tiny()[0]
    start = MODEL.init(0)
    round = spec().round(1, MODEL)
    union = Aggregate(start, 1, 1, {"synthetic": {"x": x, "y": y.astype(np.float32)}})
    stepped = TrainOnUnion(steps=1, lr=0.5, batch_size=99).finish(start, union, round)
    net = Net.of(start)
    net.move(net.gradient(x, y), 0.5)
    assert all(np.allclose(stepped[key], net.weights[key], atol=1e-6) for key in start)
    far = TrainOnUnion(steps=100, lr=1.0, batch_size=4, radius=0.3).finish(start, union, round)
    distance = np.sqrt(sum(np.square(far[key] - start[key]).sum() for key in start))
    assert distance == pytest.approx(0.3, abs=1e-5)


def test_without_samples_the_server_keeps_its_model() -> None:
    start = MODEL.init(0)
    assert TrainOnUnion().finish(start, Aggregate(start, 0, 1), spec().round(1, MODEL)) is start


def test_a_round_forgets_the_samples_of_the_one_before() -> None:
    """Where only client 1 reports in round 2, the model moves as if client 0 had never sent anything."""
    shards, run = tiny(2), spec(clients=2)
    simulation = prepare(feddm(**small()), MODEL, shards, run)  # type: ignore[arg-type]
    simulation.step()
    uploads = simulation._train(simulation.server.configure(2))
    before = simulation.server.x
    simulation.server.aggregate(2, {0: None, 1: uploads[1]})
    assert uploads[1]
    reduced = {"synthetic": uploads[1].payload["synthetic"]}
    expected = TrainOnUnion(4, 0.1, radius=5.0).finish(before, Aggregate(before, 1, 2, reduced), run.round(2, MODEL))
    assert same(simulation.server.x, expected)


def test_running_statistics_stay_as_they_are() -> None:
    model = Mlp((6,), 3, (5,), True)
    simulation = federate(feddm(**small()), model, tiny(), spec())  # type: ignore[arg-type]
    before, after = model.init(1), simulation.server.x
    assert all(np.array_equal(after[key], before[key]) for key in before if model.role(key) == "bn_stat")
    assert not np.array_equal(after["norm.0.scale"], before["norm.0.scale"])


def test_nearby_models_lie_in_the_ball_and_statistics_are_not_disturbed() -> None:
    model = Mlp((6,), 3, (5,), True)
    weights = tensors(model.init(0))
    rng = np.random.default_rng(0)
    distances = []
    for _ in range(50):
        drawn = near(weights, 2.0, model, rng)
        distances.append(float(torch.stack([(drawn[k] - weights[k]).square().sum() for k in weights]).sum().sqrt()))
        assert torch.equal(drawn["norm.0.mean"], weights["norm.0.mean"])
    assert max(distances) <= 2.0
    assert min(distances) < 0.5 < 1.5 < max(distances)
    inside = {key: value + 1e-4 for key, value in weights.items()}
    assert within(weights, inside, 2.0) is inside


def test_it_works_on_images() -> None:
    simulation = federate(feddm(**small()), Cnn((4, 4), 3, (3,)), tiny(features=16), spec(rounds=1))  # type: ignore[arg-type]
    assert simulation.server.x.keys() == Cnn((4, 4), 3, (3,)).init(0).keys()


def test_it_needs_features_and_its_time_is_counted_in_matching_steps() -> None:
    with pytest.raises(IllegalStrategyError, match="features"):
        require_legal(feddm(), Mlp((6,), 3))
    simulation = prepare(feddm(**small()), MODEL, tiny(), spec(steps=50))  # type: ignore[arg-type]
    assert simulation.step().steps == 4 * 3


def test_travel_is_undefined_so_that_no_method_divides_by_it() -> None:
    plan = feddm().schedule.plan(prepare(fedavg(), MODEL, tiny(), spec()).devices[0], spec().round(1, MODEL))
    assert DistributionMatching().travel(plan, 0.0) == 0.0 < Sgd().travel(plan, 0.0)


def test_one_shot_under_label_skew_beats_averaging_weights() -> None:
    train, test = digits()
    shards, model = by_label(train, 10, 2), Mlp((64,), 10, (32,))
    once = spec(rounds=1, steps=200, clients=10, batch=16)
    synthetic = federate(
        feddm(per_class=5, match_steps=60, server_steps=200, server_lr=0.3, radius=10.0), model, shards, once
    )
    averaged = federate(replace(fedavg(0.1), name="one-shot"), model, shards, once, executor="cohort")
    assert accuracy(synthetic, test) > accuracy(averaged, test) + 0.3
