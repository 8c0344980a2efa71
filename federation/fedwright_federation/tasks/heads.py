"""What the clients of each head tell of a row: the source's classes, put into the head's own groups."""

import numpy as np
from numpy.typing import NDArray

from fedwright_crds.task import Head, Task
from fedwright_federation.heads import Heads
from fedwright_federation.tasks.problems import BadInputError


def heads_of(task: Task, classes: int) -> Heads:
    """The heads of a task over a source of so many classes. Raises BadInputError."""
    for head in task.heads:
        greatest = max((one for group in head.groups for one in group), default=0)
        if greatest >= classes:
            raise BadInputError(
                "spec.task.heads",
                f"groups of {head.name} hold class {greatest} and the data has classes 0 to {classes - 1}",
                "remove it",
            )
    return Heads(tuple(head.classes(classes) for head in task.heads) or (classes,))


def labels_of(task: Task, heads: Heads, y: NDArray[np.int64], owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """[n], each row's label in the classes of its owner's head. Rows of nobody keep the source's. Raises BadInputError."""
    labels = y.copy()
    for number, head in enumerate(task.heads):
        if head.groups:
            rows = (owner >= 0) & (owner % len(heads.outputs) == number)
            labels[rows] = _grouped(head, y[rows], owner[rows])
    return labels


def _grouped(head: Head, y: NDArray[np.int64], owner: NDArray[np.int64]) -> NDArray[np.int64]:
    table = np.full(int(y.max(initial=0)) + 1, -1, dtype=np.int64)
    for label, group in enumerate(head.groups):
        table[[one for one in group if one < len(table)]] = label
    labels = table[y]
    if (labels < 0).any():
        at = int(labels.argmin())
        raise BadInputError(
            "spec.task.heads",
            f"no group of {head.name} has class {y[at]}, and client {owner[at]}, which has that head, holds rows of it",
            "put the class into a group",
        )
    return labels
