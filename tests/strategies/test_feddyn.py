"""FedDyn: the server's h is the mean of the clients', and where everything stands still everyone agrees."""

from dataclasses import replace

import numpy as np
import pytest
from federations import (
    Net,
    accuracy,
    batches,
    by_label,
    close,
    digits,
    federate,
    final,
    prepare,
    same,
    server_state,
    spec,
    tiny,
)

from fedwright_federation.algorithm import Aggregate
from fedwright_federation.models import Mlp
from fedwright_federation.parts.dynamics import DynamicServer
from fedwright_federation.parts.weighting import Uniform
from fedwright_federation.simulation.run import RunSpec, Shard
from fedwright_federation.strategies.fedavg import fedavg
from fedwright_federation.strategies.feddyn import feddyn

SOFTMAX, MODEL = Mlp((6,), 3), Mlp((6,), 3, (5,))


def test_with_alpha_zero_it_is_uniform_fedavg_to_the_bit() -> None:
    run, shards = spec(), tiny()
    assert same(
        final(feddyn(0.2, 0.0), MODEL, shards, run),
        final(replace(fedavg(0.2), weighting=Uniform()), MODEL, shards, run),
    )


def by_hand(shards: list[Shard], run: RunSpec, lr: float, alpha: float, cohorts: list[list[int]]) -> Net:
    """Algorithm 1 of the paper in NumPy, with its signs: gradients grad_i of the clients, and h at the server."""
    x = Net.of(SOFTMAX.init(run.seed))
    zeros = {key: np.zeros_like(value) for key, value in x.weights.items()}
    estimates, h = [dict(zeros) for _ in shards], dict(zeros)
    for number, cohort in enumerate(cohorts, start=1):
        found: dict[int, Net] = {}
        for i in cohort:
            net, shard = x.copy(), shards[i]
            for rows in batches(run, number, i, len(shard.y)):
                g = net.gradient(shard.x[rows], shard.y[rows])
                decay = run.training.weight_decay
                net.move(
                    {
                        key: g[key]
                        + decay * net.weights[key]
                        - estimates[i][key]
                        + alpha * (net.weights[key] - x.weights[key])
                        for key in g
                    },
                    lr,
                )
            estimates[i] = {key: estimates[i][key] - alpha * (net.weights[key] - x.weights[key]) for key in zeros}
            found[i] = net
        total = {key: sum(net.weights[key] - x.weights[key] for net in found.values()) for key in zeros}
        h = {key: h[key] - alpha / len(shards) * total[key] for key in zeros}
        mean = {key: np.mean([net.weights[key] for net in found.values()], axis=0) for key in zeros}
        x = Net({key: mean[key] - h[key] / alpha for key in zeros})
    return x


@pytest.mark.parametrize("participation", [1.0, 0.5])
def test_rounds_equal_the_algorithm_written_out(participation: float) -> None:
    run, shards = spec(rounds=4, participation=participation, decay=1e-2), tiny()
    simulation = prepare(feddyn(0.1, 0.3), SOFTMAX, shards, run)
    cohorts = [list(simulation.step().cohort) for _ in range(4)]
    expected = by_hand(shards, run, 0.1, 0.3, cohorts)
    assert all(np.allclose(simulation.server.x[key], expected.weights[key], atol=1e-5) for key in expected.weights)


@pytest.mark.parametrize("participation", [1.0, 0.5])
def test_the_servers_h_is_the_mean_over_all_clients(participation: float) -> None:
    simulation = prepare(feddyn(0.2, 0.1), MODEL, tiny(), spec(rounds=5, participation=participation))
    for _ in range(5):
        simulation.step()
        h = server_state(simulation, "dynamic")
        for key, value in h.items():
            own = [m.merged_states()["dynamic"][key] for m in simulation.memories.values()]
            assert np.allclose(value, np.sum(own, axis=0) / 4, atol=1e-6)


def test_at_rest_clients_agree_with_the_server_and_the_joint_gradient_vanishes() -> None:
    """Full batches on a strongly convex loss; FedAvg's clients keep on disagreeing."""
    shards = [Shard(s.x, np.full_like(s.y, i % 3)) for i, s in enumerate(tiny())]
    run = spec(rounds=50, steps=20, batch=99, decay=0.05)
    moves, gradients = {}, {}
    for strategy in (feddyn(0.3, 0.3), replace(fedavg(0.3), weighting=Uniform())):
        simulation = federate(strategy, SOFTMAX, shards, run, executor="cohort")
        x = Net.of(simulation.server.x)
        uploads = simulation._train(simulation.server.configure(run.training.rounds + 1)).values()
        moves[strategy.name] = max(
            np.abs(array).max() for upload in uploads if upload for array in upload.update.values()
        )
        each = [x.gradient(s.x, s.y)["head.weight"] + 0.05 * x.weights["head.weight"] for s in shards]
        gradients[strategy.name] = np.abs(np.mean(each, axis=0)).max()
    assert moves["FedDyn"] < 1e-4 < 1e-2 < moves["FedAvg"]
    assert gradients["FedDyn"] < 1e-4 < 1e-3 < gradients["FedAvg"]


def test_with_submodels_each_coordinate_goes_by_its_own_holders() -> None:
    """Two of four clients hold the first coordinate and one of them reports; nobody of the cohort holds the second."""
    alpha, x, h = 0.5, {"w": np.zeros(2, np.float32)}, {"dynamic": {"w": np.array([0.2, 0.2], np.float32)}}
    holders = {"w": (np.array([1, 0], np.float32), np.array([2, 3], np.float32))}
    update = {"w": np.array([1.0, 0.0], np.float32)}
    moved, state = DynamicServer(alpha).step(x, Aggregate(update, 1, 4, holders=holders), h, spec().round(1, MODEL))
    assert np.allclose(state["dynamic"]["w"], [0.2 - alpha * 1 / 2 * 1.0, 0.2])
    assert np.allclose(moved["w"], [1.0 - (0.2 - 0.25) / alpha, 0.0])


def test_the_judged_mean_is_the_mean_of_the_cohorts_models() -> None:
    run, shards = spec(rounds=3), tiny()
    simulation = prepare(feddyn(0.2, 0.1, judge_mean=1), MODEL, shards, run)
    simulation.step()
    before = simulation.server.x
    uploads = simulation._train(simulation.server.configure(2))
    simulation.server.aggregate(2, uploads)
    for key, value in simulation.server.judged().items():
        mean = np.mean([upload.update[key] for upload in uploads.values() if upload], axis=0)
        assert np.allclose(value, before[key] + mean, atol=1e-5)
    assert not close(simulation.server.judged(), simulation.server.x, 1e-4)


def test_both_executors_agree() -> None:
    one, many = (
        federate(feddyn(0.2), MODEL, tiny(), spec(), executor=how).server.x for how in ("sequential", "cohort")
    )
    assert close(one, many)


def test_under_strong_label_skew_it_beats_fedavg() -> None:
    """One label a client, both at the same step size."""
    train, test = digits()
    shards, model = by_label(train, 20, 1), Mlp((64,), 10)
    run = spec(rounds=15, steps=50, clients=20, batch=16, decay=1e-3)
    found = {
        strategy.name: accuracy(federate(strategy, model, shards, run, executor="cohort"), test)
        for strategy in (feddyn(0.3, 0.1), fedavg(0.3))
    }
    assert found["FedDyn"] > found["FedAvg"] + 0.05
