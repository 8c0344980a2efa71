"""FedRep and FedPer: heads stay at home, and the representation is everyone's."""

import numpy as np
import pytest
from federations import Net, accuracy, batches, close, federate, final, same, spec, tiny

from fedwright_federation.algorithm import ClientInfo, IllegalStrategyError, require_legal
from fedwright_federation.models import Mlp
from fedwright_federation.parts.heads import BODY, HEAD, HeadThenBody
from fedwright_federation.simulation.run import RunSpec, Shard
from fedwright_federation.strategies.fedavg import fedavg
from fedwright_federation.strategies.fedper import fedper
from fedwright_federation.strategies.fedrep import fedrep

MODEL = Mlp((6,), 3, (5,))


def test_without_a_private_head_it_is_fedavg_to_the_bit() -> None:
    run, shards = spec(), tiny()
    assert same(final(fedrep(0.2, head_share=0), MODEL, shards, run), final(fedavg(0.2), MODEL, shards, run))


def by_hand(shards: list[Shard], run: RunSpec, lr: float, head_steps: int) -> tuple[Net, list[Net]]:
    """Algorithm 1 of the paper in NumPy: body steps on a frozen new head, the mean of bodies weighted by samples."""
    shared = Net.of(MODEL.init(run.seed))
    heads = [{key: shared.weights[key] for key in ("head.weight", "head.bias")} for _ in shards]
    total = sum(len(shard.y) for shard in shards)
    for number in range(1, run.training.rounds + 1):
        mean = {key: np.zeros_like(shared.weights[key]) for key in ("body.0.weight", "body.0.bias")}
        for i, (x, y) in enumerate(shards):
            net = Net({**shared.weights, **heads[i]})
            for step, rows in enumerate(batches(run, number, i, len(y))):
                moving = "head" if step < head_steps else "body"
                gradient = net.gradient(x[rows], y[rows])
                net.move({key: value for key, value in gradient.items() if key.startswith(moving)}, lr)
            heads[i] = {key: net.weights[key] for key in heads[i]}
            for key in mean:
                mean[key] += len(y) / total * net.weights[key]
        shared.weights |= mean
    return shared, [Net({**shared.weights, **head}) for head in heads]


def test_head_then_body_equals_the_algorithm_written_out() -> None:
    run, shards = spec(rounds=3, steps=6), tiny()
    simulation = federate(fedrep(0.2, head_share=0.5), MODEL, shards, run)
    shared, clients = by_hand(shards, run, 0.2, head_steps=3)
    for key in ("body.0.weight", "body.0.bias"):
        assert np.allclose(simulation.server.x[key], shared.weights[key], atol=1e-5)
    for i, net in enumerate(clients):
        private = simulation.memories[i].private
        assert private.keys() == {"head.weight", "head.bias"}
        assert all(np.allclose(private[key], net.weights[key], atol=1e-5) for key in private)


def test_heads_never_travel_and_the_servers_own_stays_as_it_was() -> None:
    run, shards = spec(), tiny()
    simulation = federate(fedrep(0.2), MODEL, shards, run)
    downloads = simulation.server.configure(run.training.rounds + 1)
    assert all(set(download.model) == {"body.0.weight", "body.0.bias"} for download in downloads.values())
    start = MODEL.init(run.seed)
    assert np.array_equal(simulation.server.x["head.weight"], start["head.weight"])
    heads = [simulation.memories[i].private["head.weight"] for i in range(4)]
    assert not any(np.allclose(heads[0], other) for other in heads[1:])


@pytest.mark.parametrize(
    ("steps", "share", "head"), [(10, 0.5, 5), (11, 10 / 11, 10), (2, 0.9, 1), (2, 0.1, 1), (1, 0.5, 0)]
)
def test_both_phases_together_are_the_trainings_steps_and_the_body_always_moves(
    steps: int, share: float, head: int
) -> None:
    plan = HeadThenBody(share).plan(ClientInfo(0, 20), spec(steps=steps).round(1, MODEL))
    assert [(phase.steps, phase.roles) for phase in plan.phases] == [(head, HEAD), (steps - head, BODY)]


def test_a_slow_client_fits_its_head_first() -> None:
    plan = HeadThenBody(0.5).plan(ClientInfo(0, 20), spec(steps=10).round(1, MODEL)).within(6)
    assert [phase.steps for phase in plan.phases] == [5, 1]


def test_judging_refits_the_head_on_the_present_body_and_changes_nothing() -> None:
    run, shards = spec(steps=6), tiny()
    simulation = federate(fedrep(0.2, head_share=0.5), MODEL, shards, run)
    before = [dict(simulation.memories[i].private) for i in range(4)]
    judged = simulation.checkpoint()
    again = simulation.checkpoint()
    assert all(same(before[i], simulation.memories[i].private) for i in range(4))
    assert all(same(judged.personal[i], again.personal[i]) for i in range(4))
    for i in range(4):
        assert not np.array_equal(judged.personal[i]["head.weight"], before[i]["head.weight"])
        assert np.array_equal({**judged.model, **judged.personal[i]}["body.0.weight"], judged.model["body.0.weight"])


def test_a_client_that_never_took_part_is_judged_with_a_head_of_its_own() -> None:
    run = spec(rounds=1, participation=0.25)
    simulation = federate(fedrep(0.2), MODEL, tiny(), run)
    absent = [i for i in range(4) if i not in simulation.memories]
    assert len(absent) == 3
    assert all("head.weight" in simulation.checkpoint().personal[i] for i in absent)


def test_fedper_trains_both_at_once() -> None:
    run, shards = spec(rounds=1, steps=4), tiny()
    simulation = federate(fedper(0.2), MODEL, shards, run)
    net = Net.of(MODEL.init(run.seed))
    x, y = shards[2]
    for rows in batches(run, 1, 2, len(y)):
        net.move(net.gradient(x[rows], y[rows]), 0.2)
    assert np.allclose(simulation.memories[2].private["head.weight"], net.weights["head.weight"], atol=1e-5)
    assert not close(simulation.server.x, MODEL.init(run.seed))


def test_a_model_without_a_body_is_refused() -> None:
    with pytest.raises(IllegalStrategyError, match="body"):
        require_legal(fedrep(), Mlp((6,), 3))


def shared_representation(clients: int, samples: int, seed: int) -> tuple[list[Shard], list[Shard]]:
    """labels = argmax(H_i B^T x) with one B for all and a head H_i for each (Collins et al. 2021, section 5)."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(30, 3)))[0]
    train, test = [], []
    for _ in range(clients):
        head = rng.normal(size=(4, 3))
        for shards, count in ((train, samples), (test, 100)):
            x = rng.normal(size=(count, 30)).astype(np.float32)
            shards.append(Shard(x, (x @ basis @ head.T).argmax(1).astype(np.int64)))
    return train, test


def test_on_a_shared_representation_it_beats_one_head_for_all_and_training_alone() -> None:
    model = Mlp((30,), 4, (16,))
    train, test = shared_representation(20, 40, seed=0)
    together = spec(rounds=40, steps=20, clients=20, batch=10)
    fedrep_accuracy = accuracy(federate(fedrep(0.5), model, train, together, executor="cohort"), test)
    fedavg_accuracy = accuracy(federate(fedavg(0.5), model, train, together, executor="cohort"), test)
    alone = spec(rounds=1, steps=800, clients=20, batch=10)
    local_accuracy = accuracy(federate(fedper(0.5), model, train, alone, executor="cohort"), test)
    assert fedrep_accuracy > fedavg_accuracy + 0.3
    assert fedrep_accuracy > local_accuracy + 0.15
