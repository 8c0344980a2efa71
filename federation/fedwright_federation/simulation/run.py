"""What a run is given beside its strategy: data, length, seed, devices, privacy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedwright_crds.documents import JudgeSpec
from fedwright_crds.judging_work import evaluated_rounds
from fedwright_crds.task import Devices
from fedwright_federation.algorithm.model import Model
from fedwright_federation.algorithm.parts import Round, Training
from fedwright_federation.algorithm.tree import Tree
from fedwright_federation.simulation.privacy import PrivacySpec
from fedwright_federation.simulation.seeds import streams_of


class Shard(NamedTuple):
    """One client's training samples. x [n, ...] float32, y [n] int64."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]


ShardOf: TypeAlias = Callable[[int, int], Shard]
"""`shard(client, round)`, for data that change by round."""


@dataclass(frozen=True)
class RunSpec:
    """`salt` changes the order of the batches and nothing else. `checkpoints` are rounds after which models are kept."""

    training: Training
    clients: int
    seed: int = 0
    salt: int = 0
    devices: Devices = Devices()  # noqa: RUF009 (frozen)
    privacy: PrivacySpec | None = None
    checkpoints: tuple[int, ...] = ()
    secret: int = 0
    """Mixed into the noise and the sampling of a private run. A deployment draws it, so that who knows the seed knows neither."""

    def round(self, number: int, model: Model) -> Round:
        return Round(number, self.training.rounds, self.clients, self.training, model, streams_of(self.seed, number))


def by_round(shards: Sequence[Shard] | ShardOf) -> ShardOf:
    if callable(shards):
        return shards
    return lambda client, _: shards[client]


@dataclass(frozen=True)
class Checkpoint:
    """The models judged after a round. A client's own is `{**model, **personal[client]}`."""

    round: int
    model: Tree
    personal: dict[int, Tree]


def run_of(spec: JudgeSpec) -> RunSpec:
    """The run that a judged specification asks for."""
    training = spec.task.training
    asked = spec.privacy
    privacy = PrivacySpec(asked.unit.value, asked.epsilon, asked.delta, asked.clip_norm) if asked else None
    return RunSpec(
        training=Training(
            rounds=spec.rounds,
            participation=training.participation,
            epochs=training.local_epochs,
            steps=training.local_steps,
            batch_size=training.batch_size,
            weight_decay=training.weight_decay,
        ),
        clients=spec.task.clients,
        seed=spec.seed,
        salt=spec.salt,
        devices=spec.task.devices,
        privacy=privacy,
        checkpoints=evaluated_rounds(spec),
    )


def by_period(shard: Shard, period: NDArray[np.integer], periods: int, rounds: int) -> Callable[[int], Shard]:
    """A client's shard by round, where row j is held only in the equal share of the rounds that belongs to `period[j]`."""

    def at(number: int) -> Shard:
        held = period == (number - 1) * periods // rounds
        return Shard(shard.x[held], shard.y[held])

    return at
