"""Several heads over one body: what each client trains, what the server makes of it, and which methods go with it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from federations import Net, accuracy, batches, close, federate, final, same, score, spec
from hypothesis import given
from hypothesis import strategies as st

from fedwright_crds.task import Task
from fedwright_federation import strategies
from fedwright_federation.algorithm import IllegalStrategyError, Raw, on_heads, own_part
from fedwright_federation.heads import Heads
from fedwright_federation.models import Cnn, Mlp
from fedwright_federation.simulation.engine import Simulation
from fedwright_federation.simulation.privacy import PrivacySpec
from fedwright_federation.simulation.run import RunSpec, Shard
from fedwright_federation.strategies import fedavg
from fedwright_federation.tasks import TRAIN, load_task

HEADS = Heads((3, 2))
MODEL = Mlp((6,), 5, (8, 7))
NORMED = Mlp((6,), 5, (8, 7), normalised=True)


def shards(clients: int = 5) -> list[Shard]:
    """Labels are a client's head's own. Sizes differ."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(6, 3))
    made = []
    for client in range(clients):
        x = rng.normal(size=(12 + 3 * client, 6)).astype(np.float32)
        y = (x @ truth).argmax(1)
        y[:3] = np.arange(3)
        made.append(Shard(x, np.minimum(y, HEADS.count(client) - 1).astype(np.int64)))
    return made


def run(**fields: object) -> RunSpec:
    return spec(clients=5, **fields)  # type: ignore[arg-type]


# -- the mean ----------------------------------------------------------------------------------------------------------
def test_a_head_is_the_mean_of_those_who_hold_it_and_the_body_of_all() -> None:
    """FedAvg written out: each client walks a network that ends in its own outputs, gradients by hand."""
    model, given, plan = Mlp((6,), 5, (8,)), shards(), run(rounds=2)
    found = final(on_heads(fedavg(0.2), HEADS), model, given, plan)
    x = {key: value.astype(np.float64) for key, value in model.init(plan.seed).items()}
    for number in (1, 2):
        after = [walked(x, plan, number, client, shard) for client, shard in enumerate(given)]
        for key in ("body.0.weight", "body.0.bias"):
            x[key] = sum(len(s.y) * w[key] for s, w in zip(given, after, strict=True)) / sum(len(s.y) for s in given)
        for key in ("head.weight", "head.bias"):
            heads = []
            for head in range(2):
                holders = range(head, 5, 2)
                held = sum(len(given[i].y) * after[i][key] for i in holders)
                heads.append(held / sum(len(given[i].y) for i in holders))
            x[key] = np.concatenate(heads, axis=-1)
    assert close(found, {key: value.astype(np.float32) for key, value in x.items()}, 1e-5)


def walked(x: dict[str, np.ndarray], plan: RunSpec, number: int, client: int, shard: Shard) -> dict[str, np.ndarray]:
    own = slice(0, 3) if client % 2 == 0 else slice(3, 5)
    net = Net({key: value[..., own].copy() if key.startswith("head") else value.copy() for key, value in x.items()})
    for rows in batches(plan, number, client, len(shard.y)):
        net.move(net.gradient(shard.x[rows], shard.y[rows]), 0.2)
    return net.weights


def test_a_head_that_nobody_of_the_cohort_holds_stays_as_it_is() -> None:
    plan = run(rounds=1, participation=0.2)
    simulation = federate(on_heads(fedavg(0.2), HEADS), MODEL, shards(), plan)
    start, after = MODEL.init(plan.seed), simulation.server.x
    (client,) = simulation.snapshot().memories
    other = HEADS.span(client + 1)
    assert np.array_equal(after["head.weight"][:, other], start["head.weight"][:, other])
    assert not np.array_equal(after["head.weight"], start["head.weight"])


def test_a_client_is_sent_its_own_head_alone_and_sends_no_other() -> None:
    simulation = Simulation(on_heads(fedavg(0.2), HEADS), MODEL, shards(), run(rounds=1), "sequential")
    downloads = simulation.server.configure(1)
    assert [downloads[i].model["head.weight"].shape for i in range(5)] == [(7, 3), (7, 2)] * 2 + [(7, 3)]
    report = Simulation(on_heads(fedavg(0.2), HEADS), MODEL, shards(), run(rounds=1)).step()
    whole = Simulation(fedavg(0.2), MODEL, shards(), run(rounds=1)).step()
    assert whole.upload_bytes - report.upload_bytes == 4 * 8 * (3 * 2 + 2 * 3)


@given(st.lists(st.integers(2, 5), min_size=1, max_size=4), st.integers(0, 20), st.sampled_from([Mlp, Cnn]))
def test_every_output_belongs_to_one_head_and_all_else_to_everyone(
    outputs: list[int], client: int, kind: type[Mlp] | type[Cnn]
) -> None:
    heads = Heads(tuple(outputs))
    model = kind((4, 4), sum(outputs), (3,), True)
    tree = model.init(0)
    spans = np.concatenate([heads.span(head) for head in range(len(outputs))])
    assert np.array_equal(spans, np.arange(sum(outputs)))
    own = own_part(heads, model, tree, client)
    assert own["head.bias"].tolist() == tree["head.bias"][heads.span(client)].tolist()
    assert same({k: v for k, v in own.items() if "head" not in k}, {k: v for k, v in tree.items() if "head" not in k})


@pytest.mark.parametrize("name", strategies.__all__)
def test_with_one_head_a_strategy_is_itself(name: str) -> None:
    strategy = getattr(strategies, name)()
    assert on_heads(strategy, Heads((10,))) is strategy


# -- methods -----------------------------------------------------------------------------------------------------------
REFUSED = {
    "scaffold": "control-frames",
    "feddm": "synthetic-heads",
    "fedns": "norms-of-heads",
    "fedkd": "changes-of-frames",
}
"""Each with the rule that says why."""


@pytest.mark.parametrize("name", [name for name in strategies.__all__ if name not in REFUSED])
def test_a_method_runs_on_heads_and_all_at_once_as_one_by_one(name: str) -> None:
    strategy = on_heads(replace(getattr(strategies, name)(), upload=Raw()), HEADS)  # rounding at random would differ
    one, all_ = (
        federate(strategy, NORMED, shards(), run(batch=8), [1.0, 0.5, 1.0, 1.0, 0.5], executor)
        for executor in ("sequential", "cohort")
    )
    assert close(one.server.x, all_.server.x, 2e-4)
    start = one.server.model.init(1)
    if "private-head" not in strategy.features:
        assert all((one.server.x["head.weight"] != start["head.weight"]).any(0))


@pytest.mark.parametrize("name", REFUSED)
def test_a_method_that_cannot_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(IllegalStrategyError, match=rf"\[{REFUSED[name]}\]"):
        federate(on_heads(getattr(strategies, name)(), HEADS), NORMED, shards(), run())


def test_heterofls_owners_are_counted_among_the_outputs_of_their_head() -> None:
    """Client 0 lacks the last class of head 0: its column follows the other two holders alone, uniformly."""
    given = shards()
    given[0] = Shard(given[0].x, np.minimum(given[0].y, 1))
    plan = run(rounds=1)
    simulation = Simulation(on_heads(strategies.heterofl(0.2), HEADS), MODEL, given, plan, "sequential")
    uploads = simulation._train(simulation.server.configure(1))
    simulation.server.aggregate(1, uploads)
    moved = simulation.server.x["head.bias"] - MODEL.init(plan.seed)["head.bias"]
    sent = [np.asarray(uploads[i].update["head.bias"]) for i in range(5)]  # type: ignore[union-attr]
    assert np.allclose(moved[:2], np.mean([sent[0], sent[2], sent[4]], axis=0)[:2], atol=1e-7)
    assert np.allclose(moved[2], np.mean([sent[2][2], sent[4][2]]), atol=1e-7)
    assert np.allclose(moved[3:], np.mean([sent[1], sent[3]], axis=0), atol=1e-7)


def test_private_sums_are_divided_by_the_expected_holders_of_each_coordinate() -> None:
    """With next to no noise and no clipping: the body by 5 clients, each head's outputs by its own 3 and 2."""
    plan = run(rounds=1)
    private = RunSpec(plan.training, 5, plan.seed, privacy=PrivacySpec("Client", 1e5, 0.5, clip_norm=1e3))
    simulation = Simulation(on_heads(fedavg(0.2), HEADS), MODEL, shards(), private, "sequential")
    uploads = simulation._train(simulation.server.configure(1))
    simulation.server._noise = 1e-9
    simulation.server.aggregate(1, uploads)
    start, x = MODEL.init(plan.seed), simulation.server.x
    for key in ("body.0.weight", "head.weight"):
        sent = [np.asarray(uploads[i].update[key], np.float64) for i in range(5)]  # type: ignore[union-attr]
        parts = [(range(5), 5)] if key.startswith("body") else [(range(0, 5, 2), 3), (range(1, 5, 2), 2)]
        expected = np.concatenate([sum(sent[i] for i in who) / n for who, n in parts], axis=-1)
        assert np.allclose(x[key] - start[key], expected, atol=1e-5)


# -- what it is for ------------------------------------------------------------------------------------------------------
QUESTIONS = ["digit", "odd-even", "at-least-5"]
GROUPS = [[], [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]], [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]]


def test_three_groups_of_clients_learn_better_from_each_other_than_alone() -> None:
    """12 clients with few labels each, a body of 64-32 for all or for each group of 4 (paired by seed, FedAvg for both).

    Delta_MTL, the mean over questions of the relative gain in accuracy (Vandenhende et al. 2021, section 4.1), is positive with
    every seed.
    """
    heads = [{"name": name, "groups": groups} for name, groups in zip(QUESTIONS, GROUPS, strict=True)]
    wire = {"data": {"source": "Digits"}, "clients": 12, "partition": {"kind": "IID"}, "heads": heads}
    task = Task.model_validate_json(json.dumps(wire))
    gains = np.array([gained(task, seed) for seed in range(2)])
    assert (gains.mean(1) > 0.01).all(), gains


def gained(task: Task, seed: int) -> list[float]:
    """By question, (accuracy shared - accuracy alone) / accuracy alone."""
    data = load_task(task, seed)
    few = [60 if client % 3 == 0 else 30 for client in range(12)]
    given = [Shard(*(column[:n] for column in data.shard(client))) for client, n in enumerate(few)]
    together = federate(
        on_heads(fedavg(0.3), data.heads), Mlp((1, 8, 8), 14, (64, 32)), given, long(12, seed), executor="cohort"
    )
    gains = []
    for head, outputs in enumerate(data.heads.outputs):
        rows = np.flatnonzero((data.split != TRAIN) & (data.client % 3 == head))
        test = Shard(data.x[rows], data.y[rows])
        model = Mlp((1, 8, 8), outputs, (64, 32))
        alone = accuracy(federate(fedavg(0.3), model, given[head::3], long(4, seed), executor="cohort"), test)
        shared = score(together, own_part(data.heads, together.server.model, together.server.x, head), test)
        gains.append(shared / alone - 1)
    return gains


def long(clients: int, seed: int) -> RunSpec:
    return spec(rounds=60, steps=10, clients=clients, batch=16, seed=seed)
