"""DepthFL: shallow clients train the first blocks, exits teach one another, and all of them vote."""

from dataclasses import replace

import numpy as np
import pytest
import torch
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
    tensors,
    tiny,
)

from fedwright_federation.algorithm import ClientInfo, IllegalStrategyError, Out, Step, compose, require_legal
from fedwright_federation.models import Cnn, Mlp
from fedwright_federation.parts.depths import DepthSlices, Ensemble, RampedDistillation, SelfDistillation, WithExits
from fedwright_federation.parts.weighting import Uniform
from fedwright_federation.strategies.depthfl import depthfl
from fedwright_federation.strategies.fedavg import fedavg
from fedwright_federation.strategies.feddyn import feddyn

MODEL = Mlp((6,), 3, (7, 5, 4))


def test_with_one_exit_it_is_uniform_fedavg_to_the_bit() -> None:
    run, shards, model = spec(), tiny(), Mlp((6,), 3, (5,))
    plain = replace(fedavg(0.2), weighting=Uniform())
    assert same(final(depthfl(0.2), model, shards, run), final(plain, model, shards, run))


def test_a_client_holds_as_many_blocks_as_its_device_allows_and_their_exits() -> None:
    model = WithExits(MODEL)
    tree, round = model.init(0), spec().round(1, model)
    for capability, kept in ((0.1, {0}), (0.4, {0}), (0.7, {0, 1})):
        frame = DepthSlices().frame(ClientInfo(0, 10, capability=capability), tree, round)
        assert frame
        assert frame.down(tree).keys() == {key for key in tree if key.split(".")[1] in map(str, kept)}
    assert DepthSlices().frame(ClientInfo(0, 10), tree, round) is None


def test_exits_are_linear_classifiers_of_their_blocks() -> None:
    model, x = WithExits(MODEL), tiny()[0].x
    tree = model.init(0)
    out = model.forward(tensors(tree), torch.from_numpy(x), False)
    h = x.astype(np.float64)
    for k in range(2):
        h = np.maximum(h @ tree[f"body.{k}.weight"] + tree[f"body.{k}.bias"], 0)
        assert np.allclose(out.exits[k].numpy(), h @ tree[f"exit.{k}.weight"] + tree[f"exit.{k}.bias"], atol=1e-5)
    whole = MODEL.forward(tensors(MODEL.init(0)), torch.from_numpy(x), False)
    assert torch.equal(out.logits, whole.logits)


def test_on_convolutions_exits_see_the_mean_over_space() -> None:
    model = WithExits(Cnn((8, 8), 3, (4, 5)))
    tree, x = model.init(0), torch.rand(6, 64)
    out = model.forward(tensors(tree), x, False)
    pooled = out.features[0].numpy().mean((2, 3))
    assert np.allclose(out.exits[0].numpy(), pooled @ tree["exit.0.weight"] + tree["exit.0.bias"], atol=1e-5)


def test_a_shallow_tree_ends_in_its_deepest_exit() -> None:
    model, x = WithExits(MODEL), torch.rand(5, 6)
    tree = tensors(model.init(0))
    whole = model.forward(tree, x, False)
    shallow = model.forward({k: v for k, v in tree.items() if model.block(k) < 2}, x, False)
    assert torch.equal(shallow.logits, whole.exits[1])
    assert len(shallow.exits) == 1 and torch.equal(shallow.exits[0], whole.exits[0])


def step_with(weight: float, *logits: np.ndarray) -> tuple[Step, list[torch.Tensor]]:
    step = Step()
    leaves = [torch.from_numpy(z.astype(np.float32)).requires_grad_() for z in logits]
    step.out = Out(leaves[-1], exits=tuple(leaves[:-1]))
    step.y, step.scalars = torch.tensor([0, 2, 1, 1]), {"distillation": torch.tensor(weight)}
    return step, leaves


def logs(z: np.ndarray) -> np.ndarray:
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def test_the_loss_is_the_papers_and_targets_are_held_fixed() -> None:
    """sum_k CE_k + w/2 sum_k sum_{j != k} KL(p_j || p_k); the gradient of z_k is that of its own terms alone."""
    rng, y = np.random.default_rng(0), np.array([0, 2, 1, 1])
    z = [rng.normal(size=(4, 3)) for _ in range(3)]
    step, leaves = step_with(0.8, *z)
    loss = SelfDistillation()(step)
    loss.backward()
    log = [logs(values) for values in z]
    hard = sum(-p[np.arange(4), y].mean() for p in log)
    soft = sum((np.exp(log[j]) * (log[j] - log[k])).sum(1).mean() for j in range(3) for k in range(3) if j != k)
    assert loss.item() == pytest.approx(hard + 0.8 / 2 * soft, rel=1e-5)
    for k, leaf in enumerate(leaves):
        expected = np.exp(log[k])
        expected[np.arange(4), y] -= 1
        expected = expected + 0.8 / 2 * sum(np.exp(log[k]) - np.exp(log[j]) for j in range(3) if j != k)
        assert leaf.grad is not None and np.allclose(leaf.grad.numpy(), expected / 4, atol=1e-6)


def test_at_depth_one_the_loss_is_the_cross_entropy() -> None:
    z = np.random.default_rng(0).normal(size=(4, 3))
    step, _ = step_with(5.0, z)
    assert SelfDistillation()(step).item() == pytest.approx(-logs(z)[np.arange(4), [0, 2, 1, 1]].mean(), rel=1e-5)


def test_distillation_grows_to_its_weight() -> None:
    schedule, run = RampedDistillation(2.0, ramp=4), spec(rounds=8)
    client = ClientInfo(0, 10)
    found = [schedule.plan(client, run.round(r, MODEL)).scalars["distillation"] for r in range(1, 7)]
    assert found == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]


def test_every_block_is_the_mean_over_those_who_hold_it() -> None:
    run, capabilities = spec(rounds=1), [1.0, 0.7, 0.4, 0.4]
    simulation = prepare(depthfl(0.2), MODEL, tiny(), run, capabilities)
    before = simulation.server.x
    uploads = simulation._train(simulation.server.configure(1))
    simulation.server.aggregate(1, uploads)
    for key, value in simulation.server.x.items():
        moves = [upload.update[key] for upload in uploads.values() if upload and key in upload.update]
        assert len(moves) == {0: 4, 1: 2, 2: 1, 3: 1}[WithExits(MODEL).block(key)]
        assert np.allclose(value, before[key] + np.mean(moves, axis=0), atol=1e-6)


def test_blocks_that_nobody_holds_do_not_move() -> None:
    run = spec()
    simulation = federate(depthfl(0.2), MODEL, tiny(), run, [0.7, 0.4, 0.4, 0.7])
    model = WithExits(MODEL)
    before, after = model.init(run.seed), simulation.server.x
    assert {key for key in before if np.array_equal(before[key], after[key])} == {
        k for k in before if model.block(k) > 1
    }


def test_with_feddyn_h_is_the_mean_over_the_holders_of_each_block() -> None:
    """Cohorts of two out of four; in some rounds all of them hold everything."""
    strategy = compose(depthfl(0.1), feddyn(0.1, alpha=0.3))
    run, capabilities = spec(rounds=8, participation=0.5), [1.0, 1.0, 0.7, 0.4]
    simulation = prepare(strategy, MODEL, tiny(), run, capabilities)
    for _ in range(8):
        simulation.step()
    holders = {0: 4, 1: 3, 2: 2, 3: 2}
    for key, h in server_state(simulation, "dynamic").items():
        states = [memory.merged_states()["dynamic"] for memory in simulation.memories.values()]
        own = [state[key] for state in states if key in state]
        assert np.allclose(h, np.sum(own, axis=0) / holders[WithExits(MODEL).block(key)], atol=1e-6)


def test_the_ensemble_is_the_mean_of_all_exits() -> None:
    a, b, c = (torch.randn(4, 3, generator=torch.Generator().manual_seed(seed)) for seed in range(3))
    assert torch.allclose(Ensemble().logits(Out(c, exits=(a, b))), (a + b + c) / 3)


def test_both_executors_agree() -> None:
    capabilities = [1.0, 0.7, 0.4, 0.4]
    for model, features in ((MODEL, 6), (Cnn((8, 8), 3, (4, 3, 3), True), 64)):
        shards = tiny(features=features)
        one, many = (
            federate(depthfl(0.1), model, shards, spec(), capabilities, how).server.x
            for how in ("sequential", "cohort")
        )
        assert close(one, many, 1e-5)


def test_it_needs_hidden_blocks() -> None:
    with pytest.raises(IllegalStrategyError, match="features"):
        require_legal(depthfl(), Mlp((6,), 3))


def test_shallow_clients_that_take_part_are_worth_more_than_shallow_clients_left_out() -> None:
    """Where the four strong clients hold six of the ten labels between them."""
    train, test = digits()
    shards, model = by_label(train, 20, 2, seed=2), Mlp((64,), 10, (64, 64))
    run, capabilities = spec(rounds=25, steps=10, clients=20, batch=16), [1.0] * 4 + [0.5] * 16
    everyone = federate(depthfl(0.3), model, shards, run, capabilities, "cohort")
    untaught = federate(depthfl(0.3, distillation=0.0), model, shards, run, capabilities, "cohort")
    few = spec(rounds=25, steps=10, clients=4, batch=16)
    strong = federate(depthfl(0.3), model, shards[:4], few, executor="cohort")
    assert accuracy(everyone, test) > accuracy(strong, test) + 0.08
    assert accuracy(everyone, test) > accuracy(untaught, test) + 0.03


def test_hand_written_network_and_exits_share_their_first_block() -> None:
    """The first exit of a client of depth one is a network of one hidden layer, trained as such."""
    run, shards = spec(rounds=1), tiny()
    simulation = prepare(depthfl(0.2), MODEL, shards, run, [0.4] * 4)
    start = simulation.server.x
    names = {"body.0.weight": "body.0.weight", "body.0.bias": "body.0.bias"}
    names |= {"head.weight": "exit.0.weight", "head.bias": "exit.0.bias"}
    uploads = simulation._train(simulation.server.configure(1))
    for i, (x, y) in enumerate(shards):
        net = Net({own: start[key].astype(np.float64) for own, key in names.items()})
        for rows in batches(run, 1, i, len(y)):
            net.move(net.gradient(x[rows], y[rows]), 0.2)
        upload = uploads[i]
        assert upload
        for own, key in names.items():
            assert np.allclose(start[key] + np.asarray(upload.update[key]), net.weights[own], atol=1e-5)
