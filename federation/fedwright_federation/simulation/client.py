"""The client's half: a download, the client's own samples and its memory give an upload and a new memory.

It is the same for every client and holds nothing of any; transports decide where it runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from fedwright_federation.algorithm.model import Model
from fedwright_federation.algorithm.parts import ClientInfo, LocalOutcome, LocalPlan, Round, Start
from fedwright_federation.algorithm.strategy import Strategy
from fedwright_federation.algorithm.tree import Named, Tree, add, finite, pick, subtract
from fedwright_federation.simulation.batches import independent, reshuffled
from fedwright_federation.simulation.gradients import Noise
from fedwright_federation.simulation.local import LocalResult, LocalTask, run_alone, run_cohort
from fedwright_federation.simulation.memory import ClientMemory
from fedwright_federation.simulation.messages import Download, Upload
from fedwright_federation.simulation.privacy import Mechanism, PrivacySpentError, noise_for
from fedwright_federation.simulation.run import RunSpec, Shard
from fedwright_federation.simulation.seeds import stream

CPU = torch.device("cpu")


class Trained(NamedTuple):
    """What came of one client's round. `upload` is None where it had no samples, no steps, or no time for its plan."""

    upload: Upload | None
    memory: ClientMemory | None


@dataclass(frozen=True)
class Assignment:
    """One client's part in a round."""

    client: ClientInfo
    download: Download
    shard: Shard
    memory: ClientMemory | None


@dataclass(frozen=True)
class _Prepared:
    given: Assignment
    round: Round
    start: Start
    received: Tree
    memory: ClientMemory
    task: LocalTask
    measured: Named


class ClientRuntime:
    """`model` is the requested one; the strategy's view makes its own of it. Local updates run on `device`."""

    def __init__(self, strategy: Strategy, model: Model, run: RunSpec, device: torch.device = CPU) -> None:
        self.strategy, self.run, self.device = strategy, run, device
        self.model = strategy.view.model(model)
        self.initial = self.model.init(run.seed)
        roles = {key: self.model.role(key) for key in self.initial}
        self.shared = {key for key, role in roles.items() if strategy.view.shared(key, role)}
        self.statistics = {key for key, role in roles.items() if role == "bn_stat"}
        self.sent_roles = {roles[key] for key in self.shared - self.statistics}

    @property
    def personalised(self) -> bool:
        """Whether clients are judged by models of their own."""
        return self.strategy.evaluation.personal or len(self.shared) < len(self.initial)

    def train(self, given: Assignment) -> Trained:
        """One client's round, alone."""
        prepared = self._prepare(given)
        if prepared is None:
            return Trained(None, given.memory)
        return self._conclude(prepared, self._run_alone(prepared.task))

    def train_cohort(self, cohort: Sequence[Assignment]) -> list[Trained]:
        """Many clients' rounds at once; equal to `train` of each to within rounding."""
        prepared = {given.client.id: self._prepare(given) for given in cohort}
        ready = [p for p in prepared.values() if p is not None]
        decay = self.run.training.weight_decay
        results = run_cohort(self.strategy, self.model, decay, [p.task for p in ready]) if ready else []
        trained = {p.task.client: self._conclude(p, result) for p, result in zip(ready, results, strict=True)}
        return [trained.get(given.client.id, Trained(None, given.memory)) for given in cohort]

    def personal(self, client: ClientInfo, model: Tree, shard: Shard, memory: ClientMemory | None, number: int) -> Tree:
        """What to lay over the judged global model for this client: its private keys, and whatever a refresh moved."""
        round = self.run.round(number, self.model)
        frame = self.strategy.view.frame(client, self.initial, round)
        local = frame.down(model) if frame else model
        own = {**local, **(memory.private if memory else {})}
        plan = self.strategy.evaluation.refresh(client, round)
        if plan is None or not plan.steps or not len(shard.y):
            return pick(own, local.keys() - self.shared)
        state = (memory or self._first(Start(own, self._travelling(own)), round)).merged_states()
        return self._run_alone(self._task(client, plan, own, state, {}, shard, number, "refresh")).weights

    def _prepare(self, given: Assignment) -> _Prepared | None:
        client, number = replace(given.client, samples=len(given.shard.y)), given.download.round
        round = self.run.round(number, self.model)
        plan = self._plan(client, given.download.budget, round)
        if plan is None:
            return None
        received = self._received(given)
        frame = self.strategy.view.frame(client, self.initial, round)
        initial = frame.down(self.initial) if frame else self.initial
        private = given.memory.private if given.memory else pick(initial, initial.keys() - self.shared)
        weights = {key: private[key] if key in private else received[key] for key in initial}
        start = Start(weights, self._travelling(weights))
        memory = given.memory or self._first(start, round)
        state, published = memory.merged_states(), given.download.published
        task = self._task(client, plan, weights, state, published, given.shard, number, "batches")
        return _Prepared(given, round, start, received, memory, task, self._measure("start", weights, task, round))

    def _plan(self, client: ClientInfo, budget: int, round: Round) -> LocalPlan | None:
        """The client's plan, cut to its time where the schedule takes partial work; None if nothing can be sent."""
        if not client.samples:
            return None
        plan = self.strategy.schedule.plan(client, round)
        if plan.steps > budget:
            if not self.strategy.schedule.partial:
                return None
            plan = plan.within(budget)
        return plan if plan.steps else None

    def _received(self, given: Assignment) -> Tree:
        codec, download = self.strategy.download, given.download
        like = pick(self.initial, self.shared - self.statistics)
        if not download.delta:
            return {key: np.asarray(value, dtype=np.float32) for key, value in download.model.items()}
        if given.memory is None:
            raise ValueError(f"client {given.client.id} was sent a change to a model that it never had")
        round = self.run.round(download.round, self.model)
        change = {**codec.decode(download.model, like, round), **download.statistics}
        return add(given.memory.received, change)

    def _travelling(self, weights: Mapping[str, object]) -> frozenset[str]:
        return frozenset((weights.keys() & self.shared) - self.statistics)

    def _first(self, start: Start, round: Round) -> ClientMemory:
        private = pick(start.weights, start.weights.keys() - self.shared)
        return ClientMemory(private, tuple(part.begin(start, round) for part in self.strategy.states))

    def _task(
        self,
        client: ClientInfo,
        plan: LocalPlan,
        weights: Tree,
        state: Named,
        published: Named,
        shard: Shard,
        number: int,
        purpose: str,
    ) -> LocalTask:
        samples, seed = len(shard.y), self.run.seed
        batch = min(self.run.training.batch_size, samples)
        noise = self._noise(client, samples, batch, number, purpose)
        draw = reshuffled if noise is None else independent
        salt = self.run.salt if noise is None else self.run.salt + self.run.secret
        batches = draw(stream(seed, purpose, number, client.id, salt), samples, plan.steps, batch)
        x, y = torch.from_numpy(shard.x).to(self.device), torch.from_numpy(shard.y).to(self.device)
        rng = stream(seed, "local", number, client.id)
        return LocalTask(client.id, plan, weights, state, published, x, y, batches, rng, noise)

    def _noise(self, client: ClientInfo, samples: int, batch: int, number: int, purpose: str) -> Noise | None:
        """Of private steps: enough for all the steps that this client may make in the whole run."""
        spec = self.run.privacy
        if spec is None or spec.unit != "Example":
            return None
        if number > self.run.training.rounds:
            raise PrivacySpentError(
                f"round {number} would pass spec.privacy.epsilon {spec.epsilon}, which {self.run.training.rounds} rounds "
                "spend; start a run of more rounds"
            )
        population = max(batch, coarse(samples))
        multiplier = noise_for(
            Mechanism("Example", sample=batch, population=population),
            self._private_steps(client),
            spec.epsilon,
            spec.delta,
        )
        rng = stream(self.run.seed, f"noise on {purpose}", number, client.id, self.run.secret)
        return Noise(spec.clip_norm, 2.0 * spec.clip_norm * multiplier, rng)

    def _private_steps(self, client: ClientInfo) -> int:
        """Those of every round, and of a refresh after each: a refreshed model leaves the client where it is judged."""
        rounds = [self.run.round(number, self.model) for number in range(1, self.run.training.rounds + 1)]
        plans = [self.strategy.schedule.plan(client, round) for round in rounds]
        refreshes = [self.strategy.evaluation.refresh(client, round) for round in rounds]
        return sum(plan.steps for plan in (*plans, *refreshes) if plan)

    def _run_alone(self, task: LocalTask) -> LocalResult:
        return run_alone(self.strategy, self.model, self.run.training.weight_decay, task)

    def _measure(self, when: str, weights: Tree, task: LocalTask, round: Round) -> Named:
        due = [probe for probe in self.strategy.probes if probe.when == when and probe.due(round)]
        if not due:
            return {}
        tensors = {key: torch.from_numpy(value).to(self.device) for key, value in weights.items()}
        return {probe.name: probe.measure(self.model, tensors, task.x, task.y) for probe in due}

    def _conclude(self, done: _Prepared, result: LocalResult) -> Trained:
        outcome = self._outcome(done, result)
        client, download, codec = done.given.client, done.given.download, self.strategy.upload
        states, payload = self._remember(done, outcome)
        rng = done.round.stream("codec", client.id)
        encoded, residual = codec.encode(outcome.update, done.memory.residual, rng, done.round)
        upload = Upload(
            download.round,
            client.id,
            outcome.samples,
            outcome.steps,
            outcome.travel,
            outcome.loss if self.run.privacy is None else 0.0,
            encoded,
            outcome.statistics,
            payload,
        )
        if not all(map(finite, (outcome.weights, *payload.values()))):
            return Trained(upload, done.given.memory)
        private = pick(outcome.weights, outcome.weights.keys() - self.shared)
        received = done.received if self.strategy.sends_changes else {}
        return Trained(upload, ClientMemory(private, states, residual, received))

    def _outcome(self, done: _Prepared, result: LocalResult) -> LocalOutcome:
        start, after, task = done.start.weights, result.weights, done.task
        moved = subtract(after, pick(start, [key for key in start if key in self.shared]))
        return LocalOutcome(
            weights=after,
            update={key: value for key, value in moved.items() if key not in self.statistics},
            statistics={key: value for key, value in moved.items() if key in self.statistics},
            samples=len(task.y),
            steps=task.plan.steps,
            travel=self.strategy.local.travel(self._sending(task.plan), self.strategy.contraction),
            loss=result.loss,
            measured={**done.measured, **result.measured, **self._measure("end", after, task, done.round)},
        )

    def _sending(self, plan: LocalPlan) -> LocalPlan:
        """The plan's phases that move anything of what travels."""
        phases = (phase for phase in plan.phases if phase.roles is None or phase.roles & self.sent_roles)
        return replace(plan, phases=tuple(phases))

    def _remember(self, done: _Prepared, outcome: LocalOutcome) -> tuple[tuple[Named, ...], Named]:
        states: list[Named] = []
        payload: Named = {}
        published = done.given.download.published
        for part, state in zip(self.strategy.states, done.memory.states, strict=True):
            kept, sent = part.update(state, done.start, published, outcome, done.round)
            states.append(kept)
            payload |= sent
        return tuple(states), payload


def coarse(samples: int) -> int:
    """At most `samples`, out of few values: fewer privacy calibrations, each a little stricter than it need be."""
    grid = 1.0
    while grid * 1.1 <= samples:
        grid = max(grid * 1.1, grid + 1)
    return int(grid)
