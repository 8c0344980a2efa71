"""What holds for every recipe: it says its hyperparameters, survives the wire and a restart, and forgets nobody."""

import inspect
from collections.abc import Callable

import numpy as np
import pytest
import torch
from federations import close, prepare, same, spec, tiny

import fedwright_federation.strategies as recipes
from fedwright_federation.algorithm import Strategy, Training, Tree, check
from fedwright_federation.algorithm.legality import refusals
from fedwright_federation.models import Mlp
from fedwright_federation.packaging.fedwright_app.device import device_of
from fedwright_federation.simulation.client import ClientRuntime
from fedwright_federation.simulation.engine import Executor, Simulation, Snapshot
from fedwright_federation.simulation.memory import ClientMemory
from fedwright_federation.simulation.messages import Download, Upload
from fedwright_federation.simulation.privacy import PrivacySpec
from fedwright_federation.simulation.run import RunSpec, Shard
from fedwright_federation.strategies.feddm import feddm

Recipe = Callable[..., Strategy]

EVERY: dict[str, Recipe] = {name: getattr(recipes, name) for name in recipes.__all__}
LEAPING = {"fedpaq"}
"""The least difference of a weight may send it as another level of the codec."""
MODEL, CAPABILITIES = Mlp((20,), 3, (16, 12), True), [1.0, 0.5, 0.5, 0.3]


def small(name: str) -> Strategy:
    """As it comes, or with few steps where it counts its own."""
    return feddm(per_class=2, match_steps=3, server_steps=5) if name == "feddm" else EVERY[name]()


@pytest.mark.parametrize("name", EVERY)
def test_hyperparameters_are_those_of_the_signature_and_build_the_same_strategy(name: str) -> None:
    recipe = EVERY[name]
    strategy = recipe()
    assert set(strategy.hyperparameters) == set(inspect.signature(recipe).parameters)
    assert recipe(**strategy.hyperparameters) == strategy
    as_floats = {k: float(v) if isinstance(v, int) else v for k, v in strategy.hyperparameters.items()}
    assert recipe(**as_floats) == strategy


@pytest.mark.parametrize("name", EVERY)
def test_its_source_is_cited(name: str) -> None:
    module = inspect.getmodule(EVERY[name])
    assert module and module.__doc__
    assert "arXiv" in module.__doc__ or "ICLR" in module.__doc__
    assert EVERY[name].__name__ == name


@pytest.mark.parametrize("name", EVERY)
def test_it_goes_on_from_a_checkpoint_to_the_same_bytes(name: str) -> None:
    """Memories through their flat trees, uploads and downloads through their bytes, half of the clients a round."""
    run = spec(rounds=4, participation=0.5)
    unbroken = prepare(small(name), MODEL, tiny(features=20), run, CAPABILITIES)
    first = prepare(small(name), MODEL, tiny(features=20), run, CAPABILITIES)
    for _ in range(2):
        unbroken.step()
        over_the_wire(first)
    held = {i: ClientMemory.from_tree(memory.to_tree()) for i, memory in first.memories.items()}
    second = prepare(small(name), MODEL, tiny(features=20), run, CAPABILITIES)
    restore(second, Snapshot(2, first.snapshot().server, held))
    for _ in range(2):
        unbroken.step()
        over_the_wire(second)
    assert same(unbroken.server.x, second.server.x)
    assert unbroken.memories.keys() == second.memories.keys()
    for i, memory in unbroken.memories.items():
        assert same(memory.to_tree(), second.memories[i].to_tree())


def over_the_wire(simulation: Simulation) -> None:
    """One round, every message encoded and decoded, and as long as it said."""
    simulation.round += 1
    downloads = simulation.server.configure(simulation.round)
    for download in downloads.values():
        assert len(download.encode()) == download.size
    arrived = {i: Download.decode(download.encode()) for i, download in downloads.items()}
    uploads = simulation._train(arrived)
    for upload in uploads.values():
        assert upload and len(upload.encode()) == upload.size
    decoded: dict[int, Upload | None] = {i: Upload.decode(u.encode()) for i, u in uploads.items() if u}
    assert not simulation.server.aggregate(simulation.round, decoded).rejected


def restore(simulation: Simulation, snapshot: Snapshot) -> None:
    simulation.round, simulation.memories = snapshot.round, dict(snapshot.memories)
    simulation.server.restore(snapshot.server)


@pytest.mark.parametrize("name", EVERY)
def test_a_client_that_drops_out_after_the_download_changes_nothing_of_its_own(name: str) -> None:
    run = spec(rounds=3)
    simulation = prepare(small(name), MODEL, tiny(features=20), run, CAPABILITIES)
    simulation.step()
    before = simulation.memories[1].to_tree()
    uploads = simulation._train({i: d for i, d in simulation.server.configure(2).items() if i != 1})
    report = simulation.server.aggregate(2, {**uploads, 1: None})
    assert report.dropped == (1,)
    assert same(simulation.memories[1].to_tree(), before)


@pytest.mark.parametrize("name", sorted(EVERY.keys() - {"feddm"}))
def test_the_order_in_which_clients_are_counted_changes_nothing(name: str) -> None:
    """Not the platform's order, which is always that of their ids: the arithmetic of the parts. FedDM's server draws from the
    union of the clients' samples by place."""
    simulation = prepare(small(name), MODEL, tiny(features=20), spec(rounds=2), CAPABILITIES)
    simulation.step()
    server, round = simulation.server, simulation.run.round(2, simulation.client.model)
    uploads = simulation._train(server.configure(2))
    read = [server._read(client, upload, round) for client, upload in uploads.items() if upload]
    before, after = server.state(), []
    for order in ([0, 1, 2, 3], [2, 0, 3, 1]):
        server.restore(before)
        server._step([read[i][0] for i in order], [read[i][1] for i in order], round)
        after.append(server.x)
    assert close(*after)


@pytest.mark.parametrize("how", ["sequential", "cohort"])
@pytest.mark.parametrize("name", EVERY)
def test_clients_of_one_sample_and_of_none_and_a_single_round_are_no_trouble(name: str, how: Executor) -> None:
    """By epochs, so that work is as unequal as the sizes."""
    sizes, (x, y) = (1, 2, 0, 9, 33, 1), tiny(8, features=20)[-1]
    shards = [Shard(x[:n], y[:n]) for n in sizes]
    for training in (Training(1, epochs=1, batch_size=4), Training(3, participation=0.34, epochs=2, batch_size=4)):
        simulation = Simulation(small(name), MODEL, shards, RunSpec(training, len(sizes), 3), how)
        for _ in range(training.rounds):
            report = simulation.step()
            assert not report.rejected and 2 not in report.reported
        assert all(np.isfinite(value).all() for value in simulation.checkpoint().model.values())


@pytest.mark.parametrize("name", EVERY)
def test_an_empty_cohort_leaves_the_model_as_it_is(name: str) -> None:
    simulation = prepare(small(name), MODEL, tiny(features=20), spec(), CAPABILITIES)
    before = {key: value.copy() for key, value in simulation.server.x.items()}
    simulation.server.configure(1)
    simulation.server.aggregate(1, dict.fromkeys(range(4)))
    assert same(simulation.server.x, before)


@pytest.mark.parametrize("name", EVERY)
def test_where_noise_may_go_on_its_steps_it_runs_with_it(name: str) -> None:
    """Each example a batch of its own, under every loss that the rules let through."""
    model, privacy = Mlp((20,), 3, (16, 12)), PrivacySpec("Example", 8.0, 1e-2)
    if found := refusals(check(small(name), model, privacy)):
        assert all("spec.privacy" in refusal.reason or refusal.rule == "missing-capability" for refusal in found)
        return
    base = spec(rounds=2, steps=3)
    run = RunSpec(base.training, base.clients, base.seed, privacy=privacy)
    simulation = prepare(small(name), model, tiny(features=20), run, CAPABILITIES)
    for _ in range(2):
        assert not simulation.step().rejected
    assert all(np.isfinite(value).all() for value in simulation.server.x.values())


@pytest.mark.parametrize("name", EVERY)
def test_without_hidden_layers_it_runs_or_says_what_it_lacks(name: str) -> None:
    strategy, model = small(name), Mlp((20,), 3)
    found = refusals(check(strategy, model))
    if found:
        assert all(refusal.rule == "missing-capability" for refusal in found)
    else:
        assert not prepare(strategy, model, tiny(features=20), spec(), CAPABILITIES).step().rejected


# -- devices ------------------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("name", EVERY)
def test_on_a_gpu_it_makes_the_same_model_within_rounding_and_the_same_bytes_again(name: str) -> None:
    cpu, gpu, again = (trained_on(device, name) for device in ("cpu", "cuda", "cuda"))
    assert name in LEAPING or close(cpu, gpu, 1e-4)
    assert same(gpu, again)


def trained_on(device: str, name: str) -> Tree:
    simulation = prepare(small(name), MODEL, tiny(features=20), spec(rounds=2), CAPABILITIES)
    simulation.client = ClientRuntime(simulation.strategy, MODEL, simulation.run, device_of({"device": device}))
    for _ in range(2):
        assert not simulation.step().rejected
    return simulation.server.x
