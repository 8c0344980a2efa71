"""FedNova: the average no longer leans towards those who make more steps."""

from dataclasses import dataclass

import numpy as np
import pytest
from federations import Net, batches, close, federate, final, same, spec, tiny

from fedwright_federation.algorithm import (
    ClientInfo,
    IllegalStrategyError,
    LocalPlan,
    Phase,
    Report,
    Round,
    Schedule,
    Sgd,
    Strategy,
    compose,
    require_legal,
)
from fedwright_federation.models import Mlp
from fedwright_federation.parts.normalised import ByTravel
from fedwright_federation.simulation.run import RunSpec, Shard
from fedwright_federation.strategies.fedavg import fedavg
from fedwright_federation.strategies.fednova import fednova
from fedwright_federation.strategies.fedprox import fedprox

SOFTMAX, MODEL = Mlp((6,), 3), Mlp((6,), 3, (5,))


@dataclass(frozen=True)
class Unequal(Schedule):
    """Client i makes `steps[i]` steps."""

    steps: tuple[int, ...]

    def plan(self, client: ClientInfo, round: Round) -> LocalPlan:
        return LocalPlan((Phase(self.steps[client.id]),))


def unequal(strategy: Strategy, *steps: int) -> Strategy:
    return compose(strategy, Strategy(schedule=Unequal(steps)))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_with_equal_steps_it_is_fedavg_to_the_bit(momentum: float) -> None:
    run, shards = spec(), tiny()
    assert same(final(fednova(0.2, momentum), MODEL, shards, run), final(fedavg(0.2, momentum), MODEL, shards, run))


def closed_form(steps: int, lr: float, momentum: float = 0.0, mu: float = 0.0) -> float:
    """lr ||a||_1 of the paper's section 4: plain, with momentum, with a proximal term."""
    if momentum:
        return lr * (steps - momentum * (1 - momentum**steps) / (1 - momentum)) / (1 - momentum)
    return (1 - (1 - lr * mu) ** steps) / mu if mu else lr * steps


@pytest.mark.parametrize(("momentum", "mu"), [(0.0, 0.0), (0.9, 0.0), (0.5, 0.0), (0.0, 0.7)])
def test_travel_has_the_papers_closed_forms(momentum: float, mu: float) -> None:
    for steps in (1, 2, 7, 40):
        travel = Sgd(0.1, momentum).travel(LocalPlan((Phase(steps),)), mu)
        assert travel == pytest.approx(closed_form(steps, 0.1, momentum, mu))


def by_hand(shards: list[Shard], run: RunSpec, lr: float, momentum: float, mu: float, steps: list[int]) -> Net:
    """x <- x + t sum_i p_i d_i / t_i, with t = sum_i p_i t_i, in NumPy."""
    x = Net.of(SOFTMAX.init(run.seed))
    p = np.array([len(shard.y) for shard in shards]) / sum(len(shard.y) for shard in shards)
    travel = np.array([closed_form(count, lr, momentum, mu) for count in steps])
    for number in range(1, run.training.rounds + 1):
        moved = {key: np.zeros_like(value) for key, value in x.weights.items()}
        for i, shard in enumerate(shards):
            net, velocity = x.copy(), {key: np.zeros_like(value) for key, value in x.weights.items()}
            for rows in batches(run, number, i, len(shard.y), steps[i]):
                gradient = net.gradient(shard.x[rows], shard.y[rows])
                for key in velocity:
                    pull = mu * (net.weights[key] - x.weights[key])
                    velocity[key] = momentum * velocity[key] + gradient[key] + pull
                net.move(velocity, lr)
            for key in moved:
                moved[key] += p[i] / travel[i] * (net.weights[key] - x.weights[key])
        x = Net({key: x.weights[key] + p @ travel * moved[key] for key in moved})
    return x


@pytest.mark.parametrize(("momentum", "mu"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.7)])
def test_rounds_of_unequal_work_equal_the_algorithm_written_out(momentum: float, mu: float) -> None:
    run, shards, steps = spec(rounds=3), tiny(), [2, 9, 4, 20]
    strategy = unequal(fednova(0.05, momentum), *steps)
    if mu:
        strategy = compose(strategy, Strategy(gradients=fedprox(mu).gradients))
    expected = by_hand(shards, run, 0.05, momentum, mu, steps)
    found = final(strategy, SOFTMAX, shards, run)
    assert all(np.allclose(found[key], expected.weights[key], atol=1e-5) for key in found)


def test_weights_do_not_depend_on_the_order_of_the_clients() -> None:
    reports = [Report(i, 10 + i, i + 1, 0.1 * (i + 1), {}) for i in range(4)]
    round = spec().round(1, SOFTMAX)
    forward, _ = ByTravel().weigh(reports, {}, round)
    backward, _ = ByTravel().weigh(reports[::-1], {}, round)
    assert np.allclose(forward.scale, backward.scale[::-1])
    assert np.allclose(
        forward.share * forward.scale, (forward.share @ [0.1, 0.2, 0.3, 0.4]) * forward.share / [0.1, 0.2, 0.3, 0.4]
    )


def test_doubling_one_clients_steps_on_a_linear_stretch_changes_only_the_common_length() -> None:
    """With tiny steps a client's update is proportional to its count, and FedNova's direction does not see it."""
    shards, run = tiny(2), spec(rounds=1, clients=2, batch=99)
    start = SOFTMAX.init(run.seed)
    few, many = (
        final(unequal(fednova(1e-4), 1, count), SOFTMAX, shards, run)["head.weight"] - start["head.weight"]
        for count in (1, 10)
    )
    cosine = float((few * many).sum() / np.linalg.norm(few) / np.linalg.norm(many))
    assert cosine > 0.9999
    few, many = (
        final(unequal(fedavg(1e-4), 1, count), SOFTMAX, shards, run)["head.weight"] - start["head.weight"]
        for count in (1, 10)
    )
    assert float((few * many).sum() / np.linalg.norm(few) / np.linalg.norm(many)) < 0.999


def test_it_ends_nearer_to_the_joint_optimum_where_work_is_unequal() -> None:
    """Four clients with different data, full batches; the optimum is found by descent on all samples."""
    shards = [Shard(s.x, np.full_like(s.y, i % 3)) for i, s in enumerate(tiny())]
    x, y = np.concatenate([s.x for s in shards]), np.concatenate([s.y for s in shards])
    run, decay = spec(rounds=80, batch=99, decay=0.05), 0.05
    optimum = Net.of(SOFTMAX.init(run.seed))
    for _ in range(3000):
        gradient = optimum.gradient(x, y)
        optimum.move({key: value + decay * optimum.weights[key] for key, value in gradient.items()}, 0.1)
    distance = {}
    for strategy in (fednova(0.05), fedavg(0.05)):
        found = federate(unequal(strategy, 1, 20, 5, 2), SOFTMAX, shards, run, executor="cohort").server.x
        distance[strategy.name] = np.sqrt(sum(np.square(found[k] - optimum.weights[k]).sum() for k in found))
    assert distance["FedNova"] < 0.3 * distance["FedAvg"]


def test_it_refuses_local_work_without_a_length() -> None:
    @dataclass(frozen=True)
    class Adam(Sgd):
        features = frozenset({"nonlinear-local"})

    with pytest.raises(IllegalStrategyError, match="travel-undefined"):
        require_legal(compose(fednova(), Strategy(local=Adam())), SOFTMAX)


def test_both_executors_agree() -> None:
    strategy = unequal(fednova(0.1, 0.9), 2, 9, 4, 20)
    one, many = (federate(strategy, MODEL, tiny(), spec(), executor=how).server.x for how in ("sequential", "cohort"))
    assert close(one, many)
