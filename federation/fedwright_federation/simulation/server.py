"""The server's half: who takes part, what is sent, and what becomes of what comes back.

It knows of clients what `ClientInfo` says, and of their samples nothing. Its whole state is flat arrays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fedwright_federation.algorithm.model import Model
from fedwright_federation.algorithm.neutral import WeightedMean
from fedwright_federation.algorithm.parts import Aggregate, ClientInfo, Report, Round
from fedwright_federation.algorithm.strategy import Strategy
from fedwright_federation.algorithm.tree import (
    Arrays,
    Frame,
    Named,
    Tree,
    add,
    finite,
    flatten,
    pick,
    scale,
    subtract,
    unflatten,
    weighted_sum,
    zeros_like,
)
from fedwright_federation.simulation.clock import Clock, available
from fedwright_federation.simulation.messages import Download, Upload
from fedwright_federation.simulation.privacy import (
    Mechanism,
    PrivacySpentError,
    epsilon_spent,
    noise_for,
    noisy_mean,
)
from fedwright_federation.simulation.run import RunSpec
from fedwright_federation.simulation.seeds import stream


@dataclass(frozen=True)
class RoundReport:
    """What happened in a round. Bytes are those of encoded messages; seconds are the device model's."""

    round: int
    cohort: tuple[int, ...]
    reported: tuple[int, ...]
    dropped: tuple[int, ...]
    """Clients that were sent the model and sent nothing back."""
    rejected: Mapping[int, str]
    """Clients whose upload was not used, each with why."""
    steps: int
    upload_bytes: int
    download_bytes: int
    seconds: float
    loss: float | None = None
    """Mean local loss, weighted by samples; None where privacy forbids to look."""
    epsilon: float | None = None
    """Spent so far at the privacy specification's delta; for unit Example the bound of the whole run, which clients keep."""


@dataclass
class _State:
    """What a checkpoint must hold."""

    x: Tree
    server: Named
    weighting: Named
    change: Arrays = field(default_factory=dict)
    """The last model change as encoded for clients that held the model before it."""
    shift: Tree = field(default_factory=dict)
    """The same change of the running statistics, as it is."""
    residual: Tree = field(default_factory=dict)
    held: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """For each client the last round whose download it kept; 0 for none."""
    changed: int = 0
    """The round whose downloads hold the model before `change`."""


class ServerRuntime:
    """`model` is the requested one. Call `configure` and `aggregate` for rounds 1, 2, ... in turn."""

    def __init__(self, strategy: Strategy, model: Model, run: RunSpec, clients: Sequence[ClientInfo]) -> None:
        self.strategy, self.run, self.clients = strategy, run, {client.id: client for client in clients}
        self.model = strategy.view.model(model)
        x = self.model.init(run.seed)
        roles = {key: self.model.role(key) for key in x}
        shared = [key for key, role in roles.items() if strategy.view.shared(key, role)]
        self.trainable = frozenset(key for key in shared if roles[key] != "bn_stat")
        self.statistics = frozenset(shared) - self.trainable
        self.keys = tuple(shared)
        begin = run.round(1, self.model)
        self._state = _State(x, strategy.server.start(self._moving(x), self.trainable), strategy.weighting.start(begin))
        self._state.held = np.zeros(run.clients, np.int32)
        self._clock = Clock(run.devices.round_deadline_seconds)
        self._sent: dict[int, Download] = {}
        self._noise = self._client_noise()

    @property
    def x(self) -> Tree:
        """The global model, all keys; private keys stay as they were initialised."""
        return self._state.x

    def judged(self) -> Tree:
        """The global model that evaluation looks at."""
        return self.strategy.evaluation.published(self._state.x, self._state.server)

    # -- before the local updates -------------------------------------------------------------------------------------
    def configure(self, number: int) -> dict[int, Download]:
        """The cohort's downloads by client. Equal downloads are one object."""
        self._afford(number)
        round = self.run.round(number, self.model)
        pool = available(self.run.devices, list(self.clients.values()), self.run.seed, number)
        cohort = self._coins(number, pool) if self._noise else self.strategy.selection.select(pool, round)
        published = self.strategy.server.publish(self._state.server)
        whole: dict[bool, Download] = {}
        self._sent = {}
        for client in cohort:
            frame = self._frame(client, round)
            delta = frame is None and self._holds_last(client)
            download = None if frame else whole.get(delta)
            if download is None:
                download = self._download(number, published, frame, delta)
            if frame is None:
                whole[delta] = download
            budget = self._clock.budget(self.clients[client], download.size)
            self._sent[client] = download if budget == download.budget else replace(download, budget=budget)
        return dict(self._sent)

    def _coins(self, number: int, pool: Sequence[ClientInfo]) -> list[int]:
        """Each available client by a coin of its own, as the accountant assumes."""
        coins = stream(self.run.seed, "cohort", number, salt=self.run.secret).random(self.run.clients)
        return [client.id for client in pool if coins[client.id] < self.run.training.participation]

    def _download(self, number: int, published: Named, frame: Frame | None, delta: bool) -> Download:
        if delta:
            return Download(number, self._state.change, published, delta=True, statistics=self._state.shift)
        model = pick(self._state.x, self.keys)
        if frame is None:
            return Download(number, dict(model), published)
        return Download(number, dict(frame.down(model)), {name: frame.down(tree) for name, tree in published.items()})

    def _holds_last(self, client: int) -> bool:
        state = self._state
        return bool(state.change) and int(state.held[client]) == state.changed

    # -- after the local updates --------------------------------------------------------------------------------------
    def aggregate(self, number: int, uploads: Mapping[int, Upload | None]) -> RoundReport:
        """Take what the cohort sent, step, and say what happened. An empty cohort leaves the model as it is."""
        round = self.run.round(number, self.model)
        rejected: dict[int, str] = {}
        reports: list[Report] = []
        moved: list[Tree] = []
        with np.errstate(over="ignore", invalid="ignore"):
            for client in sorted(self._sent):
                upload = uploads.get(client)
                if upload is None:
                    continue
                try:
                    report, statistics = self._read(client, upload, round)
                except ValueError as error:
                    rejected[client] = str(error)
                    continue
                reports.append(report)
                moved.append(statistics)
            if reports or self._noise:
                self._step(reports, moved, round)
        for report in reports:
            self._state.held[report.client] = number
        return self._report(number, uploads, reports, rejected)

    def _read(self, client: int, upload: Upload, round: Round) -> tuple[Report, Tree]:
        """A report in the global frame, and the change of the statistics. Raises ValueError if it cannot be used."""
        if upload.client != client or upload.round != round.number:
            raise ValueError(f"it says client {upload.client}, round {upload.round}")
        frame = self._frame(client, round)
        local = frame.down(self._state.x) if frame else self._state.x
        update = self.strategy.upload.decode(upload.update, pick(local, self.trainable), round)
        _same_shapes(update, pick(local, self.trainable))
        _same_shapes(upload.statistics, pick(local, self.statistics))
        if not (finite(update) and finite(upload.statistics) and all(map(finite, upload.payload.values()))):
            raise ValueError("its update is not finite")
        statistics, mask = upload.statistics, None
        if frame:
            everything, mask = frame.lift({**update, **statistics}, pick(self._state.x, self.keys))
            update, statistics = pick(everything, self._moving(self._state.x)), pick(everything, self.statistics)
        else:
            update = {key: update[key] for key in self._moving(self._state.x)}
        report = Report(client, upload.samples, upload.steps, upload.travel, update, mask, upload.payload)
        return report, statistics

    def _step(self, reports: Sequence[Report], moved: Sequence[Tree], round: Round) -> None:
        state = self._state
        combined, statistics = self._combine(reports, moved, round)
        cohort = self._expected if self._noise else len(reports)
        aggregate = Aggregate(combined, cohort, self.run.clients, self._reduce(reports), self._holders(reports, round))
        before = state.x
        moving, state.server = self.strategy.server.step(self._moving(before), aggregate, state.server, round)
        state.x = self.strategy.finish.finish(
            {**before, **moving, **add(pick(before, statistics), statistics)}, aggregate, round
        )
        if self.strategy.sends_changes:
            self._encode_change(before, round)

    def _combine(self, reports: Sequence[Report], moved: Sequence[Tree], round: Round) -> tuple[Tree, Tree]:
        """The combined update of the trainable keys, and that of the statistics, which is always a plain mean."""
        if self._noise:
            return self._private_mean(reports, moved, round)
        weights, self._state.weighting = self.strategy.weighting.weigh(reports, self._state.weighting, round)
        scaled = [
            report if factor == 1.0 else replace(report, update=scale(report.update, factor))
            for report, factor in zip(reports, weights.scale, strict=True)
        ]
        combined = self.strategy.combiner.combine(scaled, weights.share, round)
        if not self.statistics:
            return combined, {}
        plain = [replace(report, update=tree) for report, tree in zip(reports, moved, strict=True)]
        return combined, WeightedMean().combine(plain, weights.share, round)

    def _reduce(self, reports: Sequence[Report]) -> Named:
        """Payloads by their reducers."""
        reduced: Named = {}
        for part in self.strategy.states:
            for name, how in part.payloads.items():
                trees = [report.payload[name] for report in reports if name in report.payload]
                if not trees or how == "each":
                    continue
                if how == "concat":
                    reduced[name] = {key: np.concatenate([tree[key] for tree in trees]) for key in trees[0]}
                else:
                    factor = 1.0 if how == "sum" else 1.0 / len(trees)
                    reduced[name] = weighted_sum(trees, [factor] * len(trees))
        return reduced

    def _holders(
        self, reports: Sequence[Report], round: Round
    ) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] | None:
        """How many of the cohort, as in `Aggregate.clients`, and of all hold each coordinate, where not all hold all."""
        if all(self._frame(client, round) is None for client in self.clients):
            return None
        like = self._moving(self._state.x)
        counted, total = (
            weighted_sum(masks, [1.0] * len(masks)) if masks else zeros_like(like)
            for masks in (
                [self._mask(report.client, round) for report in reports],
                [self._mask(client, round) for client in self.clients],
            )
        )
        if self._noise:
            counted = scale(total, self.run.training.participation)
        return {key: (counted[key], total[key]) for key in like}

    def _mask(self, client: int, round: Round) -> Tree:
        like = self._moving(self._state.x)
        frame = self._frame(client, round)
        if frame is None:
            return {key: np.ones_like(value) for key, value in like.items()}
        _, mask = frame.lift(frame.down(like), like)
        return {key: held.astype(np.float32) for key, held in mask.items()}

    def _encode_change(self, before: Tree, round: Round) -> None:
        """Let the model move by what a client can decode, so that those who follow the changes never drift from it."""
        state, codec = self._state, self.strategy.download
        change = subtract(state.x, pick(before, self.keys))
        moving, state.shift = self._moving(change), pick(change, self.statistics)
        rng = round.stream("download", 0)
        state.change, state.residual = codec.encode(moving, state.residual, rng, round)
        decoded = codec.decode(state.change, moving, round)
        state.x = {**state.x, **add(pick(before, self.keys), {**decoded, **state.shift})}
        state.changed = round.number

    def _frame(self, client: int, round: Round) -> Frame | None:
        return self.strategy.view.frame(self.clients[client], self._state.x, round)

    def _moving(self, x: Tree) -> Tree:
        return {key: value for key, value in x.items() if key in self.trainable}

    # -- privacy of clients -------------------------------------------------------------------------------------------
    def _mechanism(self) -> Mechanism:
        return Mechanism("Client", rate=self.run.training.participation)

    def _client_noise(self) -> float | None:
        spec = self.run.privacy
        if spec is None or spec.unit != "Client":
            return None
        return noise_for(self._mechanism(), self.run.training.rounds, spec.epsilon, spec.delta)

    @property
    def _expected(self) -> float:
        """Clients of a cohort that coins draw."""
        return self.run.training.participation * self.run.clients

    def _afford(self, number: int) -> None:
        """Raises PrivacySpentError if the round would pass the epsilon asked for."""
        spec, spent = self.run.privacy, self._epsilon(number)
        if spec is not None and spent is not None and spent > spec.epsilon:
            raise PrivacySpentError(
                f"round {number} would spend epsilon {spent:.4g}, more than spec.privacy.epsilon {spec.epsilon}; start a run "
                "of more rounds"
            )

    def _private_mean(self, reports: Sequence[Report], moved: Sequence[Tree], round: Round) -> tuple[Tree, Tree]:
        assert self.run.privacy is not None and self._noise is not None
        like = pick(self._state.x, self.keys)
        updates = [{**report.update, **tree} for report, tree in zip(reports, moved, strict=True)]
        rng = stream(self.run.seed, "noise", round.number, salt=self.run.secret)
        mean = noisy_mean(updates, like, self.run.privacy, self._noise, self._expected, rng)
        if (holders := self._holders(reports, round)) is not None:
            population = np.float32(self.run.clients)
            held = {key: np.maximum(holding, np.float32(1)) for key, (_, holding) in holders.items()}
            mean |= {key: np.asarray(mean[key] * population / holding, np.float32) for key, holding in held.items()}
        return self._moving(mean), pick(mean, self.statistics)

    def _epsilon(self, number: int) -> float | None:
        spec = self.run.privacy
        if spec is None:
            return None
        if self._noise is None:
            return spec.epsilon
        return epsilon_spent(self._mechanism(), self._noise, number, spec.delta)

    # -- bookkeeping --------------------------------------------------------------------------------------------------
    def _report(
        self, number: int, uploads: Mapping[int, Upload | None], reports: Sequence[Report], rejected: Mapping[int, str]
    ) -> RoundReport:
        came = {client: upload for client in self._sent if (upload := uploads.get(client)) is not None}
        sizes = {client: upload.size for client, upload in came.items()}
        down = {client: download.size for client, download in self._sent.items()}
        waits = [
            self._clock.seconds(self.clients[c], down[c], came[c].steps, sizes[c])
            if c in came
            else self._clock.missed(self.clients[c], down[c])
            for c in self._sent
        ]
        samples = sum(report.samples for report in reports)
        losses = [came[report.client].loss * report.samples for report in reports]
        return RoundReport(
            round=number,
            cohort=tuple(self._sent),
            reported=tuple(report.client for report in reports),
            dropped=tuple(client for client in self._sent if client not in came),
            rejected=rejected,
            steps=sum(upload.steps for upload in came.values()),
            upload_bytes=sum(sizes.values()),
            download_bytes=sum(down.values()),
            seconds=max(waits, default=0.0),
            loss=sum(losses) / samples if samples and self.run.privacy is None else None,
            epsilon=self._epsilon(number),
        )

    def state(self) -> Arrays:
        """Everything that the next round depends on, as flat arrays."""
        state = self._state
        groups: Arrays = {f"x/{key}": value for key, value in state.x.items()}
        groups |= {f"server/{key}": value for key, value in flatten(state.server).items()}
        groups |= {f"weighting/{key}": value for key, value in flatten(state.weighting).items()}
        groups |= {f"change/{key}": value for key, value in state.change.items()}
        groups |= {f"shift/{key}": value for key, value in state.shift.items()}
        groups |= {f"residual/{key}": value for key, value in state.residual.items()}
        return groups | {"held": state.held, "changed": np.array([state.changed], np.int32)}

    def restore(self, arrays: Arrays) -> None:
        """Go on from what `state` gave."""
        names = ("x", "server", "weighting", "change", "shift", "residual")
        groups: dict[str, Arrays] = {name: {} for name in names}
        for path, array in arrays.items():
            group, _, key = path.partition("/")
            if key:
                groups[group][key] = array.copy()
        self._state = _State(
            x=_trees(groups["x"]),
            server=unflatten(_trees(groups["server"])),
            weighting=unflatten(_trees(groups["weighting"])),
            change=groups["change"],
            shift=_trees(groups["shift"]),
            residual=_trees(groups["residual"]),
            held=np.asarray(arrays["held"], np.int32).copy(),
            changed=int(np.asarray(arrays["changed"], np.int32)[0]),
        )


def _trees(arrays: Arrays) -> Tree:
    return {key: np.asarray(array, dtype=np.float32) for key, array in arrays.items()}


def _same_shapes(found: Mapping[str, NDArray[np.generic]], expected: Tree) -> None:
    if found.keys() != expected.keys():
        raise ValueError(f"it has keys {sorted(found)[:8]} where {sorted(expected)[:8]} belong")
    for key, value in expected.items():
        if found[key].shape != value.shape:
            raise ValueError(f"{key} has shape {found[key].shape} where {value.shape} belongs")
