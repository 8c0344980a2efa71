"""A task's data in one run: whose each row is, in which split, with which label it is taught, and when it arrives."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedwright_crds.judging_work import stage_of
from fedwright_crds.task import Task
from fedwright_federation.heads import Heads
from fedwright_federation.tasks.heads import heads_of, labels_of
from fedwright_federation.tasks.partition import owners
from fedwright_federation.tasks.sources import load_raw
from fedwright_federation.tasks.splits import SELECTION, TEST, TRAIN, split_tags
from fedwright_federation.tasks.variations import mislabelled, shifted, stages

__all__ = ["SELECTION", "TEST", "TRAIN", "Samples", "TaskData", "load_task"]


class Samples(NamedTuple):
    """x [n, *shape] float32, y [n] int64."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]


@dataclass(frozen=True)
class TaskData:
    """All arrays run over the same rows. Only `client`, and what follows from it, depend on the run's seed."""

    task: Task
    heads: Heads
    x: NDArray[np.float32]
    y: NDArray[np.int64]
    """True labels, in the classes of the owner's head."""
    taught: NDArray[np.int64]
    """Labels as training sees them: `y`, less what label noise has replaced."""
    client: NDArray[np.int64]
    """The row's owner; -1 for rows that belong to no client."""
    split: NDArray[np.int8]
    stage: NDArray[np.int16]

    @property
    def classes(self) -> int:
        """Of all heads together: a model's outputs."""
        return sum(self.heads.outputs)

    @property
    def output(self) -> NDArray[np.int64]:
        """[n], which of the model's outputs is the true one."""
        first = np.array([self.heads.first(client) for client in range(len(self.heads.outputs))])
        return np.asarray(self.y + first[self.client % len(first)])

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.x.shape[1:]

    def rows(self, split: int, client: int | None = None) -> NDArray[np.intp]:
        """Row numbers of a split that belong to this client, or to any."""
        owned = self.client >= 0 if client is None else self.client == client
        return np.flatnonzero(owned & (self.split == split))

    def shard(self, client: int, round: int | None = None, rounds: int | None = None) -> Samples:
        """What a client trains on in a round; all of its training rows where no round is given or the task has no stages."""
        rows = self.rows(TRAIN, client)
        if self.task.continual and round is not None:
            total = rounds or self.task.training.rounds
            rows = rows[self.stage[rows] == stage_of(round, total, self.task.continual.tasks)]
        return Samples(self.x[rows], self.taught[rows])


@lru_cache(maxsize=8)
def load_task(task: Task, seed: int) -> TaskData:
    """The task's data under this seed. Raises BadInputError, naming the field of the request that does not fit."""
    raw = load_raw(task.data, task.clients)
    split = split_tags(raw.y, raw.client)
    client = owners(task, raw, split, seed)
    heads = heads_of(task, raw.classes)
    y = labels_of(task, heads, raw.y, client)
    x, taught = raw.x, y
    if task.feature_shift:
        x = shifted(x, client, task.feature_shift, task.clients, seed)
    if task.label_noise:
        taught = mislabelled(y, client, split, task.label_noise, task.clients, heads, seed)
    return TaskData(
        task=task,
        heads=heads,
        x=x,
        y=y,
        taught=taught,
        client=client,
        split=split,
        stage=stages(raw.y, task.continual, raw.classes),
    )
