"""What can go wrong in a round, and what the round then does."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from fedwright_crds.task import DeviceProfile, Devices
from fedwright_federation.algorithm import (
    Aggregate,
    Arrays,
    ClientInfo,
    Codec,
    Evaluation,
    IllegalStrategyError,
    LocalPlan,
    LocalUpdate,
    LossTerm,
    Phase,
    Round,
    Schedule,
    Selection,
    Step,
    Strategy,
    Training,
    Tree,
)
from fedwright_federation.algorithm.parts import LocalJob
from fedwright_federation.algorithm.tree import Named
from fedwright_federation.models import Mlp
from fedwright_federation.parts.codecs import Qsgd
from fedwright_federation.parts.views import HEAD, PrivateRoles
from fedwright_federation.simulation.engine import Simulation, simulate
from fedwright_federation.simulation.messages import Download
from fedwright_federation.simulation.run import RunSpec, Shard
from fedwright_federation.strategies import fedavg, fedprox, scaffold


@dataclass(frozen=True)
class Nobody(Selection):
    def select(self, pool: Sequence[ClientInfo], round: Round) -> list[int]:
        del pool, round
        return []


@dataclass(frozen=True)
class IdleAfter(Schedule):
    """Client 0 has no steps from round 2 on."""

    def plan(self, client: ClientInfo, round: Round) -> LocalPlan:
        return LocalPlan((Phase(0 if client.id == 0 and round.number > 1 else 5),))


@dataclass(frozen=True)
class Exploding(LocalUpdate):
    """Client 2's weights, told by its samples, become infinite from round 2 on."""

    samples: int

    def run(self, job: LocalJob) -> Named:
        for value in job.weights.values():
            value.add_(float("inf") if len(job.y) == self.samples else 0.5)
        return {}


def same(left: Tree, right: Tree) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[key], right[key]) for key in left)


def test_an_empty_cohort_leaves_the_model_as_it_is(softmax: Mlp, shards: list[Shard], run: RunSpec) -> None:
    result = simulate(replace(fedavg(), selection=Nobody()), softmax, shards, run)
    assert same(result.checkpoints[-1].model, softmax.init(run.seed))
    assert result.history[0].cohort == ()
    assert result.history[0].seconds == 0.0
    assert result.history[0].loss is None


def test_a_client_without_steps_is_left_out_and_keeps_its_state(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    simulation = Simulation(replace(scaffold(), schedule=IdleAfter()), mlp, shards, run)
    assert simulation.step().reported == (0, 1, 2, 3, 4)
    before = simulation.memories[0]
    report = simulation.step()
    assert report.dropped == (0,)
    assert report.reported == (1, 2, 3, 4)
    assert simulation.memories[0] is before


def test_a_client_without_samples_is_left_out(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    shards[1] = Shard(shards[1].x[:0], shards[1].y[:0])
    for executor in ("cohort", "sequential"):
        report = simulate(fedavg(), mlp, shards, run, executor).history[0]
        assert report.dropped == (1,)


def test_an_update_that_is_not_finite_is_rejected_and_the_others_count(
    mlp: Mlp, shards: list[Shard], run: RunSpec
) -> None:
    simulation = Simulation(replace(fedavg(), local=Exploding(len(shards[2].y))), mlp, shards, run)
    report = simulation.step()
    assert report.rejected == {2: "its update is not finite"}
    assert report.reported == (0, 1, 3, 4)
    assert 2 not in simulation.memories or not simulation.memories[2].private
    start = mlp.init(run.seed)
    assert all(np.allclose(value, start[key] + 0.5) for key, value in simulation.server.x.items())


def test_a_quantised_update_that_is_not_finite_is_rejected_too(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    strategy = replace(fedavg(), local=Exploding(len(shards[2].y)), upload=Qsgd(3))
    assert set(Simulation(strategy, mlp, shards, run).step().rejected) == {2}


def test_an_upload_of_another_round_or_shape_is_rejected(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    simulation = Simulation(fedavg(), mlp, shards, run)
    uploads = simulation._train(simulation.server.configure(1))
    good = uploads[1]
    assert good is not None
    uploads[0] = replace(good, client=0, round=7)
    uploads[1] = replace(good, update={**good.update, "head.bias": np.zeros(99, np.float32)})
    uploads[2] = replace(good, client=2, update={"surprise": np.zeros(1, np.float32)})
    report = simulation.server.aggregate(1, uploads)
    assert set(report.rejected) == {0, 1, 2}
    assert "head.bias has shape (99,) where (3,) belongs" in report.rejected[1]
    assert report.reported == (3, 4)


def test_first_participation_starts_from_the_models_initial_private_keys(
    mlp: Mlp, shards: list[Shard], run: RunSpec
) -> None:
    strategy = replace(fedavg(), view=PrivateRoles(HEAD))
    run = replace(run, training=replace(run.training, participation=0.4))
    simulation = Simulation(strategy, mlp, shards, run)
    report = simulation.step()
    personal = simulation.checkpoint().personal
    start = mlp.init(run.seed)
    for client in range(run.clients):
        unchanged = np.array_equal(personal[client]["head.weight"], start["head.weight"])
        assert unchanged == (client not in report.cohort)
        assert personal[client].keys() == {"head.weight", "head.bias"}


def test_data_may_change_by_round(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    """Every client holds shard 0 in round 1, shard 1 in round 2 ..., so all are equal and loss is that of one."""
    simulation = Simulation(fedavg(), mlp, lambda _, number: shards[number - 1], run)
    for number in (1, 2, 3):
        simulation.step()
        memory = [len(simulation.shard(client, number).y) for client in range(run.clients)]
        assert memory == [len(shards[number - 1].y)] * run.clients


# -- devices -----------------------------------------------------------------------------------------------------------
def stragglers(deadline: float | None) -> Devices:
    return Devices(
        profile=DeviceProfile.STRAGGLERS, straggler_fraction=0.4, steps_per_second=50.0, round_deadline_seconds=deadline
    )


def test_who_misses_the_deadline_is_dropped_unless_the_schedule_takes_partial_work(
    mlp: Mlp, shards: list[Shard], run: RunSpec
) -> None:
    run = replace(run, devices=stragglers(2.0), training=replace(run.training, steps=50, rounds=6), checkpoints=())
    whole, partial = simulate(fedavg(), mlp, shards, run), simulate(fedprox(mu=0.0), mlp, shards, run)
    late = {client for report in whole.history for client in report.dropped}
    assert len(late) >= 2
    assert sum(len(r.reported) for r in partial.history) > sum(len(r.reported) for r in whole.history)
    for report in (*whole.history, *partial.history):
        assert report.seconds <= 2.0
    assert whole.history[0].seconds == 2.0
    without = simulate(fedavg(), mlp, shards, replace(run, devices=stragglers(None)))
    assert all(not report.dropped for report in without.history)
    assert max(report.seconds for report in without.history) > 5.0


def test_simulated_seconds_are_transfer_and_compute_of_the_slowest(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    devices = Devices(steps_per_second=10.0, upload_kib_per_second=1.0, download_kib_per_second=2.0)
    simulation = Simulation(fedavg(), mlp, shards, replace(run, devices=devices))
    report = simulation.step()
    down, up = report.download_bytes / 5, report.upload_bytes / 5
    assert report.seconds == pytest.approx(down / 2048 + 7 / 10 + up / 1024)


def test_devices_that_come_and_go_are_drawn_from_the_seed(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    run = replace(run, devices=Devices(profile=DeviceProfile.MIXED), training=replace(run.training, rounds=25, steps=1))
    first, again = simulate(fedavg(), mlp, shards, run), simulate(fedavg(), mlp, shards, run)
    assert first.history == again.history
    present = sum(len(report.cohort) for report in first.history) / (25 * 5)
    assert 0.85 < present < 1.0


# -- bytes -------------------------------------------------------------------------------------------------------------
def test_bytes_are_those_of_the_encoded_messages(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    simulation = Simulation(scaffold(), mlp, shards, run)
    downloads = simulation.server.configure(1)
    uploads = simulation._train(downloads)
    report = simulation.server.aggregate(1, uploads)
    assert report.download_bytes == sum(len(download.encode()) for download in downloads.values())
    assert report.upload_bytes == sum(len(upload.encode()) for upload in uploads.values() if upload)
    floats = sum(value.size for value in mlp.init(0).values())
    assert report.upload_bytes >= 5 * 2 * 4 * floats


@dataclass(frozen=True)
class Halved(Codec):
    """Sends a model's change as float16, with what was lost added to the next one."""

    def encode(self, update: Tree, memory: Tree, rng: np.random.Generator, round: Round) -> tuple[Arrays, Tree]:
        del rng, round
        wanted = {key: value + memory.get(key, np.float32(0)) for key, value in update.items()}
        sent = {key: value.astype(np.float16).view(np.uint16) for key, value in wanted.items()}
        return dict(sent), {key: value - value.astype(np.float16) for key, value in wanted.items()}

    def decode(self, message: Arrays, like: Tree, round: Round) -> Tree:
        del like, round
        return {key: np.asarray(v).view(np.float16).astype(np.float32) for key, v in message.items()}


def test_a_download_codec_sends_changes_to_those_who_hold_the_last_model_and_nobody_drifts(
    mlp: Mlp, shards: list[Shard], run: RunSpec
) -> None:
    run = replace(run, training=replace(run.training, rounds=6, participation=0.6))
    simulation = Simulation(replace(fedavg(), download=Halved()), mlp, shards, run)
    kinds = []
    for number in range(1, 7):
        before = {key: value.copy() for key, value in simulation.server.x.items()}
        simulation.round = number
        downloads = simulation.server.configure(number)
        uploads = simulation._train(downloads)
        for client, download in downloads.items():
            kinds.append(download.delta)
            assert same(simulation.memories[client].received, before)
        simulation.server.aggregate(number, uploads)
    assert True in kinds
    assert False in kinds[3:]


def test_no_codec_touches_running_statistics_on_their_way_down(normed: Mlp, shards: list[Shard], run: RunSpec) -> None:
    """One level of quantisation would make variances negative; those who follow the changes hold the server's all the same."""
    coarse = Simulation(replace(fedavg(), download=Qsgd(1)), normed, shards, run)
    plain = Simulation(fedavg(), normed, shards, run)
    coarse.step()
    plain.step()
    for key in ("norm.0.mean", "norm.0.variance"):
        assert np.allclose(coarse.server.x[key], plain.server.x[key], atol=1e-6)
    downloads = coarse.server.configure(2)
    assert all(download.delta and download.size == len(download.encode()) for download in downloads.values())
    before = coarse.server.x
    coarse.round = 2
    coarse._train({i: Download.decode(download.encode()) for i, download in downloads.items()})
    assert all(same(memory.received, before) for memory in coarse.memories.values())


# -- evaluation --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class FineTuned(Evaluation):
    steps: int
    personal = True

    def refresh(self, client: ClientInfo, round: Round) -> LocalPlan | None:
        del client, round
        return LocalPlan((Phase(self.steps),))


def test_refreshing_for_evaluation_gives_personal_models_and_changes_no_state(
    mlp: Mlp, shards: list[Shard], run: RunSpec
) -> None:
    run = replace(run, checkpoints=(1, 2, 3, 4))
    tuned = simulate(replace(fedavg(), evaluation=FineTuned(5)), mlp, shards, run)
    plain = simulate(fedavg(), mlp, shards, run)
    for with_, without in zip(tuned.checkpoints, plain.checkpoints, strict=True):
        assert same(with_.model, without.model)
        assert not without.personal
        assert all(not np.allclose(own["head.bias"], with_.model["head.bias"]) for own in with_.personal.values())


# -- many parts at once ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Ramp(Schedule):
    """Gives a scalar that is the client's id, and one phase for each half of the model."""

    def plan(self, client: ClientInfo, round: Round) -> LocalPlan:
        head, body = frozenset({"head"}), frozenset({"body"})
        phases = (Phase(2 + client.id, roles=head), Phase(9 - client.id, 0.5, body))
        return LocalPlan(phases, {"weight": float(client.id) + round.progress})


@dataclass(frozen=True)
class Weighted(LossTerm):
    """scalar * ||head bias||^2, per client."""

    cohort = True

    def __call__(self, step: Step):
        return step.scalars["weight"] * step.weights["head.bias"].square().sum(-1)


def test_phases_and_scalars_of_each_client_are_its_own_in_a_cohort(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    """Steps of the two phases run in opposite order over the clients, so that no one stack fits all."""
    strategy = replace(Strategy(), schedule=Ramp(), losses=(*Strategy().losses, Weighted()))
    together, alone = (
        simulate(strategy, mlp, shards, run, how).checkpoints[-1].model for how in ("cohort", "sequential")
    )
    assert all(np.allclose(together[key], alone[key], atol=1e-5) for key in alone)


def test_a_strategy_that_may_not_run_is_refused_before_round_1(softmax: Mlp, shards: list[Shard], run: RunSpec) -> None:
    with pytest.raises(IllegalStrategyError, match="PrivateRoles in slot view needs a model with body"):
        simulate(replace(fedavg(), view=PrivateRoles(HEAD)), softmax, shards, run)


def test_an_aggregate_knows_the_cohorts_share_of_all_clients() -> None:
    update = {"a": np.zeros(2, np.float32)}
    assert Aggregate(update, 2, 8).share("a") == 0.25
    held = {"a": (np.array([1, 0], np.float32), np.array([4, 0], np.float32))}
    assert Aggregate(update, 2, 8, holders=held).share("a") == pytest.approx([0.25, 0.0])


def test_training_says_epochs_or_steps(mlp: Mlp, shards: list[Shard]) -> None:
    by_epochs = simulate(fedavg(), mlp, shards, RunSpec(Training(1, epochs=2, batch_size=4), 5))
    assert by_epochs.history[0].steps == sum(-(-2 * len(s.y) // 4) for s in shards)
