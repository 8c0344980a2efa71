"""Exact properties of methods: equalities that hold without statistics, against computations written out here."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from fedwright_federation.algorithm import (
    Aggregate,
    ServerSgd,
    Sgd,
    Strategy,
    Training,
    Tree,
    compose,
)
from fedwright_federation.models import Mlp
from fedwright_federation.parts.client_states import ControlVariate
from fedwright_federation.parts.codecs import Qsgd
from fedwright_federation.parts.gradient_terms import ControlCorrection, Proximal
from fedwright_federation.parts.server_optimizers import Adaptive, ServerControl, ServerMomentum
from fedwright_federation.parts.views import PrivateRoles
from fedwright_federation.parts.weighting import Uniform
from fedwright_federation.simulation.batches import reshuffled
from fedwright_federation.simulation.engine import Simulation, simulate
from fedwright_federation.simulation.run import RunSpec, Shard
from fedwright_federation.simulation.seeds import stream
from fedwright_federation.strategies import (
    fedadagrad,
    fedadam,
    fedavg,
    fedavgm,
    fedbn,
    fedpaq,
    fedprox,
    fedyogi,
    scaffold,
)


def final(strategy: Strategy, model: Mlp, shards: list[Shard], run: RunSpec) -> Tree:
    return simulate(strategy, model, shards, run, "sequential").checkpoints[-1].model


def same(left: Tree, right: Tree) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[key], right[key]) for key in left)


def close(left: Tree, right: Tree, tolerance: float = 1e-6) -> bool:
    return left.keys() == right.keys() and all(np.allclose(left[k], right[k], atol=tolerance, rtol=0) for k in left)


def round_info(run: RunSpec, model: Mlp):
    return run.round(1, model)


# -- FedAvg against a loop of its own ----------------------------------------------------------------------------------
def own_fedavg(shards: list[Shard], start: Tree, run: RunSpec, lr: float) -> Tree:
    """FedAvg of softmax regression in NumPy float64, gradients by hand."""
    weight, bias = start["head.weight"].astype(np.float64), start["head.bias"].astype(np.float64)
    training, total = run.training, sum(len(s.y) for s in shards)
    assert training.steps
    for number in range(1, training.rounds + 1):
        new_weight, new_bias = np.zeros_like(weight), np.zeros_like(bias)
        for i, (x, y) in enumerate(shards):
            w, b = weight.copy(), bias.copy()
            rows = reshuffled(stream(run.seed, "batches", number, i), len(y), training.steps, 4)
            for batch in rows:
                scores = x[batch] @ w + b
                p = np.exp(scores - scores.max(1, keepdims=True))
                p /= p.sum(1, keepdims=True)
                p[np.arange(len(batch)), y[batch]] -= 1
                w -= lr * (x[batch].T @ p / len(batch) + training.weight_decay * w)
                b -= lr * (p.mean(0) + training.weight_decay * b)
            new_weight += len(y) / total * w
            new_bias += len(y) / total * b
        weight, bias = new_weight, new_bias
    return {"head.weight": weight.astype(np.float32), "head.bias": bias.astype(np.float32)}


def test_fedavg_of_softmax_regression_equals_a_loop_written_by_hand(
    softmax: Mlp, shards: list[Shard], run: RunSpec
) -> None:
    expected = own_fedavg(shards, softmax.init(run.seed), run, lr=0.5)
    assert close(final(fedavg(lr=0.5), softmax, shards, run), expected)


def test_fedavg_of_a_network_equals_torch_modules_and_optimizers(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    """One client's round with momentum, against nn.Linear and optim.SGD."""
    run = replace(run, training=replace(run.training, rounds=1), clients=1)
    start = mlp.init(run.seed)
    net = torch.nn.Sequential(
        torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)
    )
    names = {"body.0": 0, "body.1": 2, "head": 4}
    with torch.no_grad():
        for name, place in names.items():
            net[place].weight.copy_(torch.from_numpy(start[f"{name}.weight"].T))
            net[place].bias.copy_(torch.from_numpy(start[f"{name}.bias"]))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.9, weight_decay=1e-3)
    x, y = torch.from_numpy(shards[0].x), torch.from_numpy(shards[0].y)
    for rows in reshuffled(stream(run.seed, "batches", 1, 0), len(y), 7, 4):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
    found = final(fedavg(lr=0.3, momentum=0.9), mlp, shards[:1], run)
    for name, place in names.items():
        assert np.allclose(found[f"{name}.weight"].T, net[place].weight.detach(), atol=1e-6)
        assert np.allclose(found[f"{name}.bias"], net[place].bias.detach(), atol=1e-6)


# -- neutral knobs -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "neutral",
    [
        fedprox(mu=0.0, lr=0.2),
        fedavgm(beta=0.0, server_lr=1.0, lr=0.2),
        Strategy(local=Sgd(0.2), server=ServerSgd(1.0)),
        Strategy(local=Sgd(0.2), view=PrivateRoles()),
        compose(fedprox(mu=0.0, lr=0.2), fedavgm(beta=0.0, server_lr=1.0)),
    ],
    ids=lambda s: s.name,
)
def test_a_method_with_its_knob_at_neutral_is_fedavg_to_the_bit(
    neutral: Strategy, mlp: Mlp, shards: list[Shard], run: RunSpec
) -> None:
    assert same(final(neutral, mlp, shards, run), final(fedavg(lr=0.2), mlp, shards, run))


def test_fedpaq_without_its_codec_is_uniform_fedavg(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    plain = replace(fedpaq(lr=0.2), upload=Strategy().upload)
    assert same(final(plain, mlp, shards, run), final(replace(fedavg(lr=0.2), weighting=Uniform()), mlp, shards, run))


def test_scaffold_with_frozen_zero_controls_is_uniform_fedavg(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    """In its first round all controls are zero."""
    run = replace(run, training=replace(run.training, rounds=1))
    uniform = replace(fedavg(lr=0.2), weighting=Uniform())
    assert close(final(scaffold(lr=0.2), mlp, shards, run), final(uniform, mlp, shards, run))


def test_a_proximal_pull_that_is_strong_keeps_clients_near(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    """With lr * mu = 1 every step begins again at the start: one round moves as far as its last gradient alone."""
    run = replace(run, training=replace(run.training, rounds=1, weight_decay=0.0), clients=1)
    start = mlp.init(run.seed)
    moved = final(fedprox(mu=5.0, lr=0.2), mlp, shards[:1], run)
    rows = reshuffled(stream(run.seed, "batches", 1, 0), len(shards[0].y), 7, 4)
    tensors = {key: torch.from_numpy(value) for key, value in start.items()}
    for batch in rows:
        leaves = {key: value.clone().requires_grad_() for key, value in tensors.items()}
        out = mlp.forward(leaves, torch.from_numpy(shards[0].x[batch]), True)
        loss = torch.nn.functional.cross_entropy(out.logits, torch.from_numpy(shards[0].y[batch]))
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        tensors = {k: torch.from_numpy(start[k]) - 0.2 * g for k, g in zip(leaves, gradients, strict=True)}
    assert close(moved, {key: value.numpy() for key, value in tensors.items()})


# -- SCAFFOLD ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("participation", [1.0, 0.4])
@pytest.mark.parametrize("variant", [{}, {"momentum": 0.9}], ids=["plain", "momentum"])
def test_the_server_control_is_the_mean_of_all_clients_controls(
    participation: float, variant: dict[str, float], mlp: Mlp, shards: list[Shard], run: RunSpec
) -> None:
    run = replace(run, training=replace(run.training, participation=participation))
    simulation = Simulation(scaffold(lr=0.1, **variant), mlp, shards, run)
    for _ in range(run.training.rounds):
        simulation.step()
        server = simulation.server.strategy.server.publish(simulation.server._state.server)["control"]
        for key, value in server.items():
            clients = [m.states[0]["control"][key] for m in simulation.memories.values()]
            assert np.allclose(value, np.sum(clients, axis=0) / run.clients, atol=1e-6)


def test_a_control_variate_is_the_mean_of_the_gradients_that_were_met(
    softmax: Mlp, shards: list[Shard], run: RunSpec
) -> None:
    """Option II in round 1, against gradients gathered by replaying the steps."""
    run = replace(run, training=replace(run.training, rounds=1, weight_decay=0.0))
    simulation = Simulation(scaffold(lr=0.1), softmax, shards, run)
    simulation.step()
    for i, (x, y) in enumerate(shards):
        w = {key: torch.from_numpy(value.copy()) for key, value in softmax.init(run.seed).items()}
        total = {key: torch.zeros_like(value) for key, value in w.items()}
        for rows in reshuffled(stream(run.seed, "batches", 1, i), len(y), 7, 4):
            leaves = {key: value.requires_grad_() for key, value in w.items()}
            out = softmax.forward(leaves, torch.from_numpy(x[rows]), True)
            loss = torch.nn.functional.cross_entropy(out.logits, torch.from_numpy(y[rows]))
            gradients = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
            w = {key: (value - 0.1 * gradients[key]).detach() for key, value in leaves.items()}
            total = {key: value + gradients[key] / 7 for key, value in total.items()}
        for key, value in simulation.memories[i].states[0]["control"].items():
            assert np.allclose(value, total[key], atol=1e-6)


def test_scaffold_composes_with_a_proximal_term(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    """Neutral in either knob it is the other method."""
    both = compose(scaffold(lr=0.1), fedprox(mu=0.0))
    assert {type(part) for part in both.gradients} == {ControlCorrection, Proximal}
    assert both.states == (ControlVariate(),)
    assert isinstance(both.server, ServerControl)
    assert same(final(both, mlp, shards, run), final(scaffold(lr=0.1), mlp, shards, run))


# -- FedPAQ ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("levels", [1, 3, 10])
def test_quantisation_is_unbiased(levels: int, run: RunSpec, softmax: Mlp) -> None:
    codec, rng = Qsgd(levels), np.random.default_rng(1)
    update = {"a": rng.normal(size=(4, 3)).astype(np.float32), "b": np.array([0.0, 2.0], dtype=np.float32)}
    info, draws = round_info(run, softmax), 4000
    mean = {key: np.zeros(value.shape) for key, value in update.items()}
    for _ in range(draws):
        message, memory = codec.encode(update, {}, rng, info)
        assert not memory
        for key, value in codec.decode(message, update, info).items():
            mean[key] += value / draws
    for key, value in update.items():
        error = np.linalg.norm(value) / levels / np.sqrt(draws)
        assert np.abs(mean[key] - value).max() < 5 * error


def test_a_quantised_message_has_the_bits_that_the_paper_counts(run: RunSpec, softmax: Mlp) -> None:
    update = {"a": np.ones((10, 8), np.float32), "b": np.ones(20, np.float32)}
    for levels, bits in ((1, 2), (3, 3), (7, 4), (10, 5)):
        message, _ = Qsgd(levels).encode(update, {}, np.random.default_rng(0), round_info(run, softmax))
        assert sum(array.nbytes for array in message.values()) == 2 * 4 + (100 * bits + 7) // 8


def test_fedpaq_sends_an_order_less_and_still_learns(make_shards: Callable[..., list[Shard]]) -> None:
    shards, model = make_shards(10, 32, 4), Mlp((32,), 4, (64,))
    run = RunSpec(Training(rounds=15, steps=10), clients=10)
    full = simulate(fedavg(lr=0.3), model, shards, run)
    small = simulate(fedpaq(levels=1, lr=0.3), model, shards, run)
    assert full.history[-1].upload_bytes > 12 * small.history[-1].upload_bytes
    assert full.history[-1].download_bytes == small.history[-1].download_bytes
    assert small.history[-1].loss is not None and small.history[0].loss is not None
    assert small.history[-1].loss < 0.75 * small.history[0].loss


# -- server optimizers -------------------------------------------------------------------------------------------------
def test_server_momentum_is_a_geometric_sum_of_updates(run: RunSpec, softmax: Mlp) -> None:
    """After updates D_1..D_t: x_t = x_0 + lr sum_s D_s (1 - beta^(t-s+1))/(1 - beta)."""
    optimizer, info = ServerMomentum(beta=0.8, lr=0.5), round_info(run, softmax)
    updates = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    x: Tree = {"a": np.zeros(3, np.float32)}
    state = optimizer.start(x, frozenset({"a"}))
    for update in updates:
        x, state = optimizer.step(x, Aggregate({"a": update}, 2, 4), state, info)
    t = len(updates)
    factors = np.array([(1 - 0.8 ** (t - s)) / (1 - 0.8) for s in range(t)])
    assert np.allclose(x["a"], 0.5 * factors @ updates, atol=1e-5)


@pytest.mark.parametrize("rule", ["adagrad", "adam", "yogi"])
def test_adaptive_servers_follow_the_closed_forms_for_a_constant_update(rule: str, run: RunSpec, softmax: Mlp) -> None:
    """A constant D gives m_t = (1 - b1^t) D and v_t in closed form."""
    b1, b2, tau, lr, steps = 0.9, 0.99, 1e-2, 0.1, 5
    recipes = {
        "adam": fedadam(lr, b1, b2, tau),
        "yogi": fedyogi(lr, b1, b2, tau),
        "adagrad": fedadagrad(lr, b1, tau),
    }
    optimizer, info = recipes[rule].server, round_info(run, softmax)
    assert isinstance(optimizer, Adaptive)
    constant = np.array([0.5, -2.0, 0.05], dtype=np.float64)
    square, expected = constant**2, np.zeros(3)
    x: Tree = {"a": np.zeros(3, np.float32)}
    state = optimizer.start(x, frozenset({"a"}))
    for t in range(1, steps + 1):
        x, state = optimizer.step(x, Aggregate({"a": constant.astype(np.float32)}, 1, 1), state, info)
        v = {
            "adagrad": tau**2 + t * square,
            "adam": b2**t * tau**2 + (1 - b2**t) * square,
            "yogi": tau**2 + t * (1 - b2) * square,
        }[rule]
        expected += lr * (1 - b1**t) * constant / (np.sqrt(v) + tau)
    assert np.allclose(x["a"], expected, rtol=1e-4)


# -- FedBN -------------------------------------------------------------------------------------------------------------
def test_fedbn_keeps_all_of_batch_norm_at_the_client(normed: Mlp, shards: list[Shard], run: RunSpec) -> None:
    simulation = Simulation(fedbn(lr=0.2), normed, shards, run)
    start = {key: value.copy() for key, value in simulation.server.x.items()}
    report = simulation.step()
    sent = simulation.server._sent[0].model
    assert sent.keys() == {key for key in start if not key.startswith("norm.")}
    assert report.reported == tuple(range(5))
    checkpoint = simulation.checkpoint()
    for client, own in checkpoint.personal.items():
        assert own.keys() == {key for key in start if key.startswith("norm.")}
        assert not np.array_equal(own["norm.0.mean"], start["norm.0.mean"]), client
    assert np.array_equal(checkpoint.model["norm.0.scale"], start["norm.0.scale"])


def test_fedavg_averages_running_statistics_plainly_whatever_the_server_optimizer(
    normed: Mlp, shards: list[Shard], run: RunSpec
) -> None:
    """One round from the same start: trainable keys move differently, statistics alike."""
    run = replace(run, training=replace(run.training, rounds=1))
    plain, adam = final(fedavg(lr=0.2), normed, shards, run), final(fedadam(lr=0.2), normed, shards, run)
    assert np.array_equal(plain["norm.0.mean"], adam["norm.0.mean"])
    assert np.array_equal(plain["norm.0.variance"], adam["norm.0.variance"])
    assert not np.allclose(plain["norm.0.scale"], adam["norm.0.scale"])
