"""What the clients of each head tell of a row: the source's classes, put into the head's own groups."""

import numpy as np
from numpy.typing import NDArray

from fedwright_crds.task import Head, Task
from fedwright_federation.algorithm.heads import Heads
from fedwright_federation.tasks.problems import BadInputError


def heads_of(task: Task, classes: int) -> Heads:
    """The heads of a task over a source of so many classes. Raises BadInputError."""
    for head in task.heads:
        grouped = sum(map(len, head.groups))
        if head.groups and grouped != classes:
            raise BadInputError(
                "spec.task.heads",
                f"groups of {head.name} hold {grouped} classes and the data has {classes}",
                "put each class of the data, from 0, into exactly one group",
            )
    return Heads(tuple(head.classes(classes) for head in task.heads) or (classes,))


def labels_of(task: Task, heads: Heads, y: NDArray[np.int64], owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """[n], each row's label in the classes of its owner's head. Rows of nobody keep the source's."""
    labels = y.copy()
    for number, head in enumerate(task.heads):
        if head.groups:
            rows = (owner >= 0) & (owner % len(heads.outputs) == number)
            labels[rows] = _table(head)[y[rows]]
    return labels


def _table(head: Head) -> NDArray[np.int64]:
    """[source's classes], the head's class of each."""
    table = np.zeros(sum(map(len, head.groups)), dtype=np.int64)
    for label, group in enumerate(head.groups):
        table[list(group)] = label
    return table
