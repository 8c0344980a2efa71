"""Federated active learning: clients see inputs without labels and buy labels from an oracle that keeps a budget."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedwright_federation.tasks.data import TRAIN, Samples, TaskData


class BudgetSpentError(RuntimeError):
    """There are fewer labels left to buy than were asked for; none was sold."""


@dataclass
class LabelOracle:
    """Sells labels. One that was bought before costs nothing."""

    labels: Sequence[NDArray[np.int64]]
    """Each client's, in the order of its unlabelled inputs."""
    total: int
    """What all clients together may buy."""
    per_client: int
    """What each may buy of that."""
    _bought: list[NDArray[np.bool_]] = field(init=False)

    def __post_init__(self) -> None:
        self._bought = [np.zeros(len(labels), dtype=np.bool_) for labels in self.labels]

    @property
    def spent(self) -> int:
        return sum(int(bought.sum()) for bought in self._bought)

    def bought(self, client: int) -> NDArray[np.intp]:
        """Positions of the client's inputs whose labels it has."""
        return np.flatnonzero(self._bought[client])

    def __call__(self, client: int, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int64]:
        """The labels of these inputs of the client, in the order asked. Raises BudgetSpentError, IndexError."""
        asked = np.asarray(indices, dtype=np.intp)
        after = self._bought[client].copy()
        if len(asked) and not 0 <= asked.min() <= asked.max() < len(after):
            raise IndexError(
                f"client {client} has inputs 0 to {len(after) - 1}, asked for {asked.min()} to {asked.max()}"
            )
        after[asked] = True
        new = int(after.sum() - self._bought[client].sum())
        left = min(self.total - self.spent, self.per_client - int(self._bought[client].sum()))
        if new > left:
            raise BudgetSpentError(f"client {client} asked for {new} labels and {left} are left; ask for fewer")
        self._bought[client] = after
        return self.labels[client][asked]


class ActiveTask:
    """A task whose training labels are bought. Every client begins with `initial` labels, drawn alike in every run."""

    def __init__(self, data: TaskData, total: int, per_client: int, initial: int = 0) -> None:
        clients = range(data.task.clients)
        self._inputs = [data.x[data.rows(TRAIN, client)] for client in clients]
        labels = [data.taught[data.rows(TRAIN, client)] for client in clients]
        free = [
            np.random.default_rng([client, initial]).permutation(len(y))[:initial] for client, y in enumerate(labels)
        ]
        gifts = [len(rows) for rows in free]
        self.oracle = LabelOracle(labels, total + sum(gifts), per_client + max(gifts, default=0))
        for client, rows in enumerate(free):
            self.oracle(client, rows)

    def unlabelled(self, client: int) -> NDArray[np.float32]:
        """All inputs of the client, [n, ...]; the oracle speaks of them by position."""
        return self._inputs[client]

    def shard(self, client: int, round: int | None = None) -> Samples:
        """What the client can train on now."""
        del round  # labels arrive when they are bought
        rows = self.oracle.bought(client)
        return Samples(self._inputs[client][rows], self.oracle(client, rows))
