"""The simulator: all clients in one process, deterministic by seed."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from fedwright_federation.algorithm.legality import Refusal, require_legal
from fedwright_federation.algorithm.model import Model
from fedwright_federation.algorithm.strategy import Strategy
from fedwright_federation.algorithm.tree import Arrays, Tree
from fedwright_federation.simulation.client import Assignment, ClientRuntime, Trained
from fedwright_federation.simulation.clock import draw_devices
from fedwright_federation.simulation.forked import Workers
from fedwright_federation.simulation.memory import ClientMemory
from fedwright_federation.simulation.messages import Download, Upload
from fedwright_federation.simulation.run import Checkpoint, RunSpec, Shard, ShardOf, by_round
from fedwright_federation.simulation.server import RoundReport, ServerRuntime

Executor = Literal["cohort", "sequential", "forked"]


@dataclass(frozen=True)
class Snapshot:
    """Where a run stands after a round: enough to go on to the same bytes."""

    round: int
    server: Arrays
    memories: Mapping[int, ClientMemory]


@dataclass(frozen=True)
class SimulationResult:
    history: tuple[RoundReport, ...]
    checkpoints: tuple[Checkpoint, ...]
    """Of the rounds asked for, and always of the last."""
    snapshot: Snapshot
    warnings: tuple[Refusal, ...] = ()


class Simulation:
    """A run that is stepped round by round."""

    def __init__(
        self,
        strategy: Strategy,
        model: Model,
        shards: Sequence[Shard] | ShardOf,
        run: RunSpec,
        executor: Executor = "cohort",
        resume: Snapshot | None = None,
    ) -> None:
        torch.set_num_threads(1)
        self.warnings = tuple(require_legal(strategy, model, run.privacy))
        self.strategy, self.run, self.shard = strategy, run, by_round(shards)
        self.devices = draw_devices(run.devices, [len(self.shard(i, 1).y) for i in range(run.clients)], run.seed)
        self.server = ServerRuntime(strategy, model, run, self.devices)
        self.client = ClientRuntime(strategy, model, run)
        self.together = executor != "sequential" and strategy.cohort
        self.workers = self._fork() if executor == "forked" else None
        self.round = 0
        self.memories: dict[int, ClientMemory] = {}
        if resume is not None:
            self.round, self.memories = resume.round, dict(resume.memories)
            self.server.restore(resume.server)

    def __enter__(self) -> "Simulation":
        return self

    def __exit__(self, *_: object) -> None:
        if self.workers is not None:
            self.workers.close()

    def step(self) -> RoundReport:
        """Run the next round."""
        self.round += 1
        uploads = self._train(self.server.configure(self.round))
        return self.server.aggregate(self.round, uploads)

    def checkpoint(self) -> Checkpoint:
        """The models to judge now."""
        model = self.server.judged()
        return Checkpoint(self.round, model, self._personal(model))

    def snapshot(self) -> Snapshot:
        return Snapshot(self.round, self.server.state(), dict(self.memories))

    def _fork(self) -> Workers:
        cores = len(os.sched_getaffinity(0))
        return Workers(self._train_all, self.shard, self.devices, min(cores, self.run.clients))

    def _train(self, downloads: Mapping[int, Download]) -> dict[int, Upload | None]:
        if self.workers is not None:
            uploads, memories = self.workers.train(downloads, self.memories)
            self.memories |= memories
            return uploads
        given = [
            Assignment(self.devices[i], download, self.shard(i, self.round), self.memories.get(i))
            for i, download in downloads.items()
        ]
        trained = self._train_all(given)
        for one, (_, memory) in zip(given, trained, strict=True):
            if memory is not None:
                self.memories[one.client.id] = memory
        return {one.client.id: upload for one, (upload, _) in zip(given, trained, strict=True)}

    def _train_all(self, given: Sequence[Assignment]) -> list[Trained]:
        return self.client.train_cohort(given) if self.together else [self.client.train(one) for one in given]

    def _personal(self, model: Tree) -> dict[int, Tree]:
        if not self.client.personalised:
            return {}
        return {
            client.id: self.client.personal(
                client, model, self.shard(client.id, self.round), self.memories.get(client.id), self.round
            )
            for client in self.devices
        }


def simulate(
    strategy: Strategy,
    model: Model,
    shards: Sequence[Shard] | ShardOf,
    run: RunSpec,
    executor: Executor = "cohort",
    on_round: Callable[[RoundReport], None] | None = None,
    resume: Snapshot | None = None,
) -> SimulationResult:
    """Run all rounds.

    `executor` cohort runs a round's clients at once where all client-side parts accept that, sequential one by one, to the
    bytes of a federation, and forked splits the cohort over processes, one a core: worth it on idle cores where a round is
    much work. All agree to within rounding. Raises `IllegalStrategyError` before round 1.
    """
    history: list[RoundReport] = []
    checkpoints: list[Checkpoint] = []
    with Simulation(strategy, model, shards, run, executor, resume) as simulation:
        for number in range(simulation.round + 1, run.training.rounds + 1):
            history.append(simulation.step())
            if on_round:
                on_round(history[-1])
            if number in run.checkpoints or number == run.training.rounds:
                checkpoints.append(simulation.checkpoint())
    return SimulationResult(tuple(history), tuple(checkpoints), simulation.snapshot(), simulation.warnings)
