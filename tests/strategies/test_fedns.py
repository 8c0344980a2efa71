"""FedNS: a gradient norm without labels tells clients with spoilt samples, and only tells where it can."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from federations import Net, accuracy, close, digits, federate, final, iid, prepare, spec, tensors, tiny

from fedwright_federation.algorithm import Report
from fedwright_federation.models import Cnn, Mlp
from fedwright_federation.parts.sifting import GradientToUniform, Sifted, lower_group, scored
from fedwright_federation.simulation.run import Shard
from fedwright_federation.strategies.fedavg import fedavg
from fedwright_federation.strategies.fednova import fednova
from fedwright_federation.strategies.fedns import fedns

MODEL = Mlp((6,), 3, (5,))


def test_where_nobody_stands_out_it_is_fedavg() -> None:
    run, shards = spec(), tiny()
    never = fedns(0.2, separation=1e9)
    assert close(final(never, MODEL, shards, run), final(fedavg(0.2), MODEL, shards, run))


def test_with_equal_factors_flags_change_nothing() -> None:
    run, shards = spec(), tiny()
    flagging = fedns(0.2, clean=0.7, noisy=0.7, separation=0.0)
    assert close(final(flagging, MODEL, shards, run), final(fedavg(0.2), MODEL, shards, run))


def test_the_probe_is_the_l1_norm_of_the_gradient_towards_uniform() -> None:
    """dW = h^T (softmax(z) - 1/C) / B, in batches of 4, and labels play no part."""
    shard, tree = tiny()[2], MODEL.init(0)
    net, norms = Net.of(tree), []
    for rows in np.array_split(np.arange(len(shard.y)), [4, 8, 12, 16]):
        h, z = net.hidden(shard.x[rows].astype(np.float64)), net.logits(shard.x[rows].astype(np.float64))
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        norms.append(np.abs(h.T @ (p - 1 / 3) / len(rows)).sum())
    probe = GradientToUniform(batch_size=4)
    for y in (shard.y, np.zeros_like(shard.y)):
        found = probe.measure(MODEL, tensors(tree), torch.from_numpy(shard.x), torch.from_numpy(y))
        assert found["norm"] == pytest.approx(np.mean(norms), rel=1e-5)


def test_the_probe_reads_the_heads_of_convolutions() -> None:
    model = Cnn((4, 4), 3, (3,))
    x = torch.rand(5, 16)
    found = GradientToUniform().measure(model, tensors(model.init(0)), x, torch.zeros(5, dtype=torch.int64))
    assert found["norm"].shape == (1,) and found["norm"][0] > 0


def test_norms_are_sent_in_the_first_round_alone() -> None:
    simulation = prepare(fedns(0.2), MODEL, tiny(), spec())
    for number in (1, 2):
        uploads = simulation._train(simulation.server.configure(number))
        assert all(upload and ("noise" in upload.payload) == (number == 1) for upload in uploads.values())
        simulation.server.aggregate(number, uploads)


@pytest.mark.parametrize(
    ("scores", "low"),
    [
        ([1.0, 1.01, 0.99, 0.2, 0.21, 0.19, 1.02], [3, 4, 5]),
        ([0.2, 1.0, 0.21, 0.22, 0.19, 0.2, 1.01], [0, 2, 3, 4, 5]),
        ([1.0, 1.0, 1.0, 1.0, 1.0], []),
        ([1.0, 1.0, 1.0, 1.0, 0.1], []),
        ([0.1, 0.1, 1.0], []),
        ([0.5, 0.6, 0.72, 0.86, 1.04, 1.24], []),
        ([0.80, 0.81, 0.80, 0.81, 1.0, 1.01, 1.0, 1.01], []),
        ([1.0, 1.15, 1.3, 1.6, 1.9, 2.4, 3.5, 6.0], []),
    ],
    ids=[
        "three low",
        "most low",
        "all alike",
        "one alone",
        "too few",
        "evenly spread",
        "two groups that hardly differ",
        "a long tail",
    ],
)
def test_two_groups_are_told_apart_only_where_there_are_two(scores: list[float], low: list[int]) -> None:
    assert np.flatnonzero(lower_group(np.array(scores), 2.8)).tolist() == low


@pytest.mark.parametrize("clients", [4, 6, 10, 20, 50])
def test_scores_that_are_all_alike_are_seldom_split(clients: int) -> None:
    """Norms that spread by a sixth either way, as those of trained models do."""
    rng = np.random.default_rng(0)
    assert np.mean([lower_group(np.exp(rng.normal(0, 0.16, clients)), 2.8).any() for _ in range(400)]) < 0.02


def report(client: int, norm: float | None) -> Report:
    payload = {} if norm is None else {"noise": {"norm": np.array([norm], np.float32)}}
    return Report(client, 10, 5, 0.5, {}, payload=payload)


def test_flags_are_kept_for_all_clients_and_those_never_scored_count_as_clean() -> None:
    round, weighting = spec().round(1, MODEL), Sifted()
    first = [report(i, norm) for i, norm in enumerate([1.0, 1.1, 0.9, 1.0, 0.1, 0.12])]
    weights, state = weighting.weigh(first, {}, round)
    assert weights.share == pytest.approx(np.array([1.2] * 4 + [0.1] * 2) / 6)
    weights, state = weighting.weigh([report(4, None), report(9, None), report(0, None)], state, round)
    assert weights.share == pytest.approx(np.array([0.1, 1.2, 1.2]) / 3)
    assert weighting.flagged(state) == {4, 5}


def test_scores_are_relative_to_the_cohort_of_their_round() -> None:
    """Norms grow with training; a client probed later, among others, is not thereby cleaner."""
    state = scored([report(0, 1.0), report(1, 1.0)], {})
    state = scored([report(2, 8.0), report(3, 8.0)], state)
    assert [float(state["noise-score"][str(i)][0]) for i in range(4)] == [1.0] * 4


def test_on_top_of_fednova_it_multiplies_fednovas_weights() -> None:
    run, shards = spec(), tiny()
    assert close(
        final(fedns(0.2, base="travel", separation=1e9), MODEL, shards, run), final(fednova(0.2), MODEL, shards, run)
    )
    round = run.round(1, MODEL)
    reports = [replace(report(i, n), travel=0.1 * (i + 1)) for i, n in enumerate([1.0, 1.1, 0.1, 0.12, 0.9])]
    weights, _ = fedns(base="travel").weighting.weigh(reports, {}, round)
    assert weights.scale == pytest.approx(0.3 / np.array([0.1, 0.2, 0.3, 0.4, 0.5]))
    assert weights.share == pytest.approx(np.array([1.2, 1.2, 0.1, 0.1, 1.2]) / 5)


def test_an_unknown_base_is_named() -> None:
    with pytest.raises(ValueError, match=r"'krum'.*samples, travel"):
        fedns(base="krum")


def test_clients_with_random_labels_are_found_and_count_less() -> None:
    train, test = digits()
    shards, rng = iid(train, 20), np.random.default_rng(0)
    spoilt = [Shard(s.x, rng.integers(0, 10, len(s.y))) if i < 10 else s for i, s in enumerate(shards)]
    model, run = Mlp((64,), 10, (32,)), spec(rounds=10, steps=50, clients=20, batch=16)
    sifting = federate(fedns(0.3), model, spoilt, run, executor="cohort")
    flags = sifting.strategy.weighting.flagged(sifting.server._state.weighting)  # type: ignore[attr-defined]
    assert flags == set(range(10))
    assert accuracy(sifting, test) > accuracy(federate(fedavg(0.3), model, spoilt, run, executor="cohort"), test) + 0.02
