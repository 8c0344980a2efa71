"""Clipping, noise and accounting, against formulas and loops written out here."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedwright_federation.algorithm import IllegalStrategyError, Tree, on_heads
from fedwright_federation.algorithm.parts import Step
from fedwright_federation.algorithm.tree import norm
from fedwright_federation.heads import Heads
from fedwright_federation.models import Mlp
from fedwright_federation.parts.widths import MaskedCrossEntropy
from fedwright_federation.simulation.client import Assignment, coarse
from fedwright_federation.simulation.engine import Simulation, simulate
from fedwright_federation.simulation.gradients import Noise, private
from fedwright_federation.simulation.privacy import (
    Mechanism,
    PrivacySpec,
    PrivacySpentError,
    PrivacyUnreachableError,
    clipped,
    epsilon_spent,
    noise_for,
    noisy_mean,
)
from fedwright_federation.simulation.run import RunSpec, Shard
from fedwright_federation.strategies import fedavg, fedavgm, feddyn, fedpaq, fedprox, fedrep, scaffold


def renyi_epsilon(q: float, z: float, rounds: int, delta: float) -> float:
    """min_a [R rho(a) + log(1/delta)/(a-1)], rho of the Poisson-sampled Gaussian at integer orders: valid, not tightest."""

    def rho(a: int) -> float:
        terms = (math.comb(a, k) * (1 - q) ** (a - k) * q**k * math.exp(k * (k - 1) / (2 * z**2)) for k in range(a + 1))
        return math.log(sum(terms)) / (a - 1)

    return min(rounds * rho(a) + math.log(1 / delta) / (a - 1) for a in range(2, 33))


@pytest.mark.parametrize(("q", "z", "rounds"), [(0.3, 1.0, 40), (0.3, 4.0, 40), (0.1, 1.0, 100), (1.0, 8.0, 10)])
def test_epsilon_is_below_the_textbook_bound_and_near_it(q: float, z: float, rounds: int) -> None:
    bound = renyi_epsilon(q, z, rounds, 1e-2)
    spent = epsilon_spent(Mechanism("Client", rate=q), z, rounds, 1e-2)
    assert 0.5 * bound < spent <= bound


def without_replacement_epsilon(samples: int, batch: int, z: float, steps: int, delta: float) -> float:
    """The same with rho of a Gaussian on `batch` out of `samples`, one of which is replaced (Wang, Balle and
    Kasiviswanathan 2019, theorem 9, with eps(j) = j / 2 z^2): valid, not tightest."""
    q = batch / samples

    def grown(a: int, j: int) -> float:
        return 2 * q**j * math.comb(a, j) * math.exp((j - 1) * j / (2 * z**2))

    def rho(a: int) -> float:
        pair = min(4 * (math.exp(1 / z**2) - 1), 2 * math.exp(1 / z**2))
        return math.log(1 + q**2 * math.comb(a, 2) * pair + sum(grown(a, j) for j in range(3, a + 1))) / (a - 1)

    return min(steps * rho(a) + math.log(1 / delta) / (a - 1) for a in range(2, 25))


@pytest.mark.parametrize(
    ("samples", "batch", "z", "steps"), [(100, 8, 1.0, 50), (60, 16, 2.0, 100), (1000, 10, 1.5, 500)]
)
def test_epsilon_of_private_steps_is_below_the_textbook_bound_and_near_it(
    samples: int, batch: int, z: float, steps: int
) -> None:
    bound = without_replacement_epsilon(samples, batch, z, steps, 1e-3)
    spent = epsilon_spent(Mechanism("Example", sample=batch, population=samples), z, steps, 1e-3)
    assert 0.5 * bound < spent <= bound


@pytest.mark.parametrize(
    "mechanism", [Mechanism("Client", rate=0.2), Mechanism("Example", sample=8, population=100)], ids=lambda m: m.unit
)
def test_the_noise_is_just_enough_for_the_epsilon_asked(mechanism: Mechanism) -> None:
    noise = noise_for(mechanism, 50, 3.0, 1e-3)
    assert epsilon_spent(mechanism, noise, 50, 1e-3) <= 3.0
    assert epsilon_spent(mechanism, noise * 0.99, 50, 1e-3) > 3.0


def test_an_epsilon_that_no_noise_reaches_is_refused_by_name() -> None:
    with pytest.raises(PrivacyUnreachableError, match=r"spec\.privacy\.epsilon 1e-06"):
        noise_for(Mechanism("Client", rate=1.0), 1000, 1e-6, 1e-9)


@given(
    arrays(np.float32, (3, 2), elements=st.floats(-1e6, 1e6, width=32)),
    arrays(np.float32, 4, elements=st.floats(-1e6, 1e6, width=32)),
    st.floats(1e-3, 1e3),
)
def test_a_clipped_update_is_never_longer_than_the_bound_and_keeps_its_direction(
    a: np.ndarray, b: np.ndarray, bound: float
) -> None:
    tree: Tree = {"a": a, "b": b}
    short = clipped(tree, bound)
    assert norm(short) <= bound * (1 + 1e-6)
    if norm(tree) <= bound:
        assert short is tree
    else:
        assert all(np.allclose(short[k], tree[k] * (bound / norm(tree)), rtol=1e-5) for k in tree)


def test_one_client_moves_the_sum_by_at_most_the_clip_norm() -> None:
    """With and without a client, under the same noise."""
    rng, spec = np.random.default_rng(0), PrivacySpec("Client", 1.0, 1e-2, clip_norm=0.7)
    updates: list[Tree] = [{"a": rng.normal(size=20).astype(np.float32) * 10} for _ in range(6)]
    draws = [noisy_mean(some, updates[0], spec, 1.3, 4.0, np.random.default_rng(9)) for some in (updates, updates[1:])]
    assert norm({"a": (draws[0]["a"] - draws[1]["a"]) * 4.0}) == pytest.approx(0.7, rel=1e-4)


def test_the_noise_on_a_mean_has_the_deviation_that_is_accounted() -> None:
    like: Tree = {"a": np.zeros(40_000, np.float32)}
    spec = PrivacySpec("Client", 1.0, 1e-2, clip_norm=0.5)
    mean = noisy_mean([], like, spec, 3.0, 10.0, np.random.default_rng(0))
    assert mean["a"].std() == pytest.approx(3.0 * 0.5 / 10.0, rel=0.02)
    assert abs(mean["a"].mean()) < 0.01


# -- client level ------------------------------------------------------------------------------------------------------
@pytest.fixture
def private_run(run: RunSpec) -> RunSpec:
    return replace(
        run,
        training=replace(run.training, participation=0.5, rounds=5),
        privacy=PrivacySpec("Client", epsilon=8.0, delta=1e-2, clip_norm=0.5),
    )


def test_a_private_run_spends_no_more_than_asked_and_reports_no_loss(
    mlp: Mlp, shards: list[Shard], private_run: RunSpec
) -> None:
    history = simulate(fedavg(), mlp, shards, private_run).history
    epsilons = [report.epsilon for report in history]
    assert all(epsilon is not None for epsilon in epsilons)
    assert epsilons == sorted(epsilons)
    assert 7.0 < (epsilons[-1] or 0) <= 8.0
    assert all(report.loss is None for report in history)


def test_cohorts_are_drawn_by_independent_coins(mlp: Mlp, shards: list[Shard], private_run: RunSpec) -> None:
    run = replace(private_run, training=replace(private_run.training, rounds=60, steps=1))
    sizes = [len(report.cohort) for report in simulate(fedavg(), mlp, shards, run).history]
    assert len(set(sizes)) > 2
    assert np.mean(sizes) == pytest.approx(2.5, abs=0.5)


def test_even_an_empty_private_round_moves_the_model(mlp: Mlp, shards: list[Shard], private_run: RunSpec) -> None:
    """Else the server would tell that nobody came."""
    run = replace(private_run, training=replace(private_run.training, participation=1e-9))
    simulation = Simulation(fedavg(), mlp, shards, run)
    before = simulation.server.x
    assert simulation.step().cohort == ()
    assert not np.array_equal(before["head.bias"], simulation.server.x["head.bias"])


@pytest.mark.parametrize("allowed", [fedavg(), fedavgm(), fedprox(), fedpaq()], ids=lambda s: s.name)
def test_methods_that_send_only_their_update_may_be_private(
    allowed: object, mlp: Mlp, shards: list[Shard], private_run: RunSpec
) -> None:
    result = simulate(allowed, mlp, shards, private_run)
    assert all(np.isfinite(value).all() for value in result.checkpoints[-1].model.values())


def test_scaffold_is_refused_with_client_level_privacy(mlp: Mlp, shards: list[Shard], private_run: RunSpec) -> None:
    with pytest.raises(IllegalStrategyError, match=r"spec\.privacy: only the clipped update is accounted for"):
        simulate(scaffold(), mlp, shards, private_run)


def test_the_accountant_refuses_the_round_that_would_pass_epsilon(
    mlp: Mlp, shards: list[Shard], private_run: RunSpec
) -> None:
    simulation = Simulation(fedavg(), mlp, shards, private_run)
    for _ in range(private_run.training.rounds):
        assert (simulation.step().epsilon or 0) <= 8.0
    before = simulation.server.x
    with pytest.raises(PrivacySpentError, match=r"more than spec\.privacy\.epsilon 8\.0"):
        simulation.step()
    assert simulation.server.x is before


@pytest.mark.parametrize("heads", [(3,), (2, 1)])
def test_what_the_server_remembers_does_not_tell_how_many_came(
    heads: tuple[int, ...], mlp: Mlp, shards: list[Shard], private_run: RunSpec
) -> None:
    """FedDyn's h goes by the cohort's share of all that hold a coordinate; the true one would tell who was there."""
    shards = [Shard(s.x, s.y % heads[i % len(heads)]) for i, s in enumerate(shards)]
    simulation = Simulation(on_heads(feddyn(0.1, 0.3), Heads(heads)), mlp, shards, private_run)
    before = simulation.server.x
    assert len(simulation.step().reported) != 2.5
    h = {k.removeprefix("server/dynamic/"): v for k, v in simulation.server.state().items() if "dynamic/" in k}
    for key, value in simulation.server.x.items():
        mean = value - before[key] + h[key] / 0.3
        assert np.allclose(h[key], -0.3 * 0.5 * mean, atol=1e-5)


@pytest.mark.parametrize("unit", ["Client", "Example"])
def test_no_upload_tells_a_loss(unit: str, mlp: Mlp, shards: list[Shard], private_run: RunSpec) -> None:
    """A mean over the samples that carries no noise."""
    run = replace(private_run, privacy=PrivacySpec(unit, 8.0, 1e-2))
    simulation = Simulation(fedavg(), mlp, shards, run)
    uploads = [upload for upload in simulation._train(simulation.server.configure(1)).values() if upload]
    assert uploads and all(upload.loss == 0.0 for upload in uploads)


def test_running_variances_below_zero_leave_predictions_finite(
    normed: Mlp, shards: list[Shard], private_run: RunSpec
) -> None:
    run = replace(private_run, privacy=PrivacySpec("Client", 0.5, 1e-2))
    tree = simulate(fedavg(), normed, shards, run).checkpoints[-1].model
    assert tree["norm.0.variance"].min() < 0
    out = normed.forward({k: torch.from_numpy(v) for k, v in tree.items()}, torch.from_numpy(shards[0].x), False)
    assert torch.isfinite(out.logits).all()


# -- example level -----------------------------------------------------------------------------------------------------
def own_private_gradient(model: Mlp, weights: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor, bound: float):
    """One backward pass for each example."""
    total = {key: torch.zeros_like(value) for key, value in weights.items()}
    for row, label in zip(x, y, strict=True):
        leaves = {key: value.clone().requires_grad_() for key, value in weights.items()}
        loss = torch.nn.functional.cross_entropy(model.forward(leaves, row[None], True).logits, label[None])
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        length = torch.sqrt(sum((g.square().sum() for g in gradients), torch.tensor(0.0)))
        for key, g in zip(leaves, gradients, strict=True):
            total[key] += g * min(1.0, bound / float(length))
    return {key: value / len(y) for key, value in total.items()}


@pytest.mark.parametrize("bound", [0.1, 1.0, 100.0])
def test_private_gradients_without_noise_equal_one_pass_for_each_example(bound: float, mlp: Mlp) -> None:
    rng = torch.Generator().manual_seed(0)
    x, y = torch.rand(6, 8, generator=rng), torch.tensor([0, 1, 2, 2, 1, 0])
    weights = {key: torch.from_numpy(value) for key, value in mlp.init(1).items()}
    expected = own_private_gradient(mlp, weights, x, y, bound)
    step = Step()
    step.model, step.trained, step.weights = mlp, tuple(weights), weights
    step.start, step.state, step.published, step.scalars = weights, {}, {}, {}
    step.present, step.x, step.y = torch.ones(3, dtype=torch.bool), x, y
    noise = Noise(bound, 0.0, np.random.default_rng(0))
    found, _ = private(step, fedavg().losses, [noise], stacked=False)
    for key, value in zip(step.trained, found, strict=True):
        assert torch.allclose(value, expected[key], atol=1e-6)


def test_private_steps_agree_between_executors_and_stay_within_epsilon(
    mlp: Mlp, shards: list[Shard], run: RunSpec
) -> None:
    spec = PrivacySpec("Example", epsilon=20.0, delta=1e-2, clip_norm=1.0)
    run = replace(run, training=replace(run.training, rounds=2), privacy=spec)
    together, alone = (simulate(scaffold(), mlp, shards, run, how) for how in ("cohort", "sequential"))
    left, right = together.checkpoints[-1].model, alone.checkpoints[-1].model
    assert all(np.allclose(left[key], right[key], atol=1e-5) for key in left)
    assert together.history[-1].epsilon == pytest.approx(20.0)
    noiseless = simulate(scaffold(), mlp, shards, replace(run, privacy=None)).checkpoints[-1].model
    assert not np.allclose(left["head.bias"], noiseless["head.bias"], atol=1e-2)


@pytest.fixture
def noisy_run(run: RunSpec) -> RunSpec:
    return replace(run, training=replace(run.training, rounds=2), privacy=PrivacySpec("Example", 20.0, 1e-2))


def test_a_client_refuses_the_round_that_would_pass_epsilon(mlp: Mlp, shards: list[Shard], noisy_run: RunSpec) -> None:
    """By itself, whatever a server asks."""
    simulation = Simulation(fedavg(), mlp, shards, noisy_run)
    download = replace(simulation.server.configure(1)[0], round=3)
    with pytest.raises(PrivacySpentError, match=r"round 3 would pass spec\.privacy\.epsilon"):
        simulation.client.train(Assignment(simulation.devices[0], download, shards[0], None))


def test_steps_that_refresh_a_head_are_accounted_and_carry_noise_of_their_own(
    mlp: Mlp, shards: list[Shard], noisy_run: RunSpec
) -> None:
    """Seven steps a round, four of them on the head, and four more after each round."""
    simulation, tasks = Simulation(fedrep(0.1), mlp, shards, noisy_run, "sequential"), []
    run_alone = simulation.client._run_alone
    simulation.client._run_alone = lambda task: (tasks.append(task), run_alone(task))[1]  # type: ignore[method-assign]
    for _ in range(2):
        simulation.step()
        simulation.checkpoint()
    own = [task for task in tasks if task.client == 0]
    mechanism = Mechanism("Example", sample=4, population=coarse(len(shards[0].y)))
    z, steps = own[0].noise.deviation / 2.0, sum(task.plan.steps for task in own)
    assert steps == 2 * (7 + 4)
    assert epsilon_spent(mechanism, z, steps, 1e-2) <= 20.0 < epsilon_spent(mechanism, 0.99 * z, steps, 1e-2)
    assert len({str(task.noise.rng.bit_generator.seed_seq.entropy) for task in own}) == 4


def test_which_labels_a_client_lacks_changes_no_private_step(mlp: Mlp, shards: list[Shard], noisy_run: RunSpec) -> None:
    """One sample of a new label would else change every sample's gradient."""
    shards = [Shard(s.x, np.minimum(s.y, 1)) for s in shards]
    masked = replace(fedavg(), losses=(MaskedCrossEntropy(),))
    found, plain = (simulate(one, mlp, shards, noisy_run).checkpoints[-1].model for one in (masked, fedavg()))
    assert all(np.array_equal(found[key], plain[key]) for key in plain)


def test_private_steps_are_refused_with_batch_norm(normed: Mlp, shards: list[Shard], run: RunSpec) -> None:
    run = replace(run, privacy=PrivacySpec("Example", 5.0, 1e-2))
    with pytest.raises(IllegalStrategyError, match="batch statistics mix the examples"):
        simulate(fedavg(), normed, shards, run)


@given(st.integers(1, 100_000))
def test_calibrating_for_a_coarse_number_of_samples_is_never_too_lax(samples: int) -> None:
    assert 0.9 * samples - 1 <= coarse(samples) <= samples
