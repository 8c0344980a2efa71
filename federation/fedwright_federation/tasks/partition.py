"""Which client holds which row: flwr-datasets' partitioners over an in-memory data set, drawn by the run's seed.

All rows are dealt out, so that a client's selection and test rows follow its own distribution.
"""

import warnings
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedwright_crds.task import Partition, PartitionKind, Task
from fedwright_federation.simulation.seeds import stream
from fedwright_federation.tasks.problems import BadInputError
from fedwright_federation.tasks.raw import Raw
from fedwright_federation.tasks.splits import SELECTION, TEST, TRAIN

NOBODY = -1
"""The owner of rows of a class that no client was dealt."""
_CLIENTS = "spec.task.clients"


def owners(task: Task, raw: Raw, tags: NDArray[np.int8], seed: int) -> NDArray[np.int64]:
    """[n], each row's client.

    Every client gets at least `minSamples` training rows and one row of the other splits: where a draw leaves it fewer, it
    takes some from the client that has most, of labels that it holds already if there are any. Raises BadInputError.
    """
    if task.partition.kind is PartitionKind.NATURAL:
        return _natural(task, raw, tags)
    if raw.client is not None and task.data.entry_point is None:
        raise BadInputError(
            "spec.task.partition.kind",
            f"is {task.partition.kind} but {task.data.source} data come with their clients",
            "set it to Natural",
        )
    needs = {TRAIN: task.partition.min_samples, SELECTION: 1, TEST: 1}
    _require_rows(task, tags, needs)
    owner = _dealt(task, raw.y, seed)
    for split, need in needs.items():
        _level(owner, raw.y, tags == split, need, task.clients)
    return owner


def _natural(task: Task, raw: Raw, tags: NDArray[np.int8]) -> NDArray[np.int64]:
    if raw.client is None:
        raise BadInputError(
            "spec.task.partition.kind",
            "is Natural but the data names no clients",
            "choose IID, Dirichlet or Pathological",
        )
    found = int(raw.client.max()) + 1
    if found != task.clients:
        raise BadInputError(_CLIENTS, f"is {task.clients} but the data has {found} clients", f"set it to {found}")
    for split, need in ((TRAIN, task.partition.min_samples), (SELECTION, 1), (TEST, 1)):
        held = np.bincount(raw.client[tags == split], minlength=found)
        if held.min() < need:
            poor = int(held.argmin())
            raise BadInputError(
                "spec.task.partition.minSamples",
                f"client {poor} of the data has {held[poor]} rows of a split that needs {need}",
                "lower minSamples, or give each client more rows",
            )
    return raw.client.copy()


def _require_rows(task: Task, tags: NDArray[np.int8], needs: dict[int, int]) -> None:
    for split, need in needs.items():
        have = int((tags == split).sum())
        if have < task.clients * need:
            raise BadInputError(
                _CLIENTS,
                f"is {task.clients}, more clients than samples allow: {len(tags)} rows, of which {have} are of a split "
                f"that needs {need} for each client",
                f"lower it to at most {have // need}"
                + (" or lower spec.task.partition.minSamples" if need > 2 else ""),
            )


def _dealt(task: Task, y: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The partitioner's draw, over rows in an order of the seed's own: neighbours in a file often resemble each other."""
    rng = stream(seed, "partition")
    shuffled = rng.permutation(len(y))
    groups = _partition(task.partition, task.clients, y[shuffled], int(rng.integers(2**31)))
    owner = np.full(len(y), NOBODY, dtype=np.int64)
    for client, rows in enumerate(groups):
        owner[shuffled[np.asarray(list(rows), dtype=np.int64)]] = client
    return owner


def _partition(partition: Partition, clients: int, y: NDArray[np.int64], seed: int) -> list[Iterable[int]]:
    made = _partitioner(partition, clients, seed)
    made.dataset = _row_numbers_class().from_dict({"label": y})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes that nobody was dealt; small clients, which are levelled later
        try:
            return [made.load_partition(client) for client in range(clients)]
        except ValueError as error:
            raise BadInputError(
                "spec.task.partition.labelsPerClient", str(error)[:500], f"change it or {_CLIENTS}"
            ) from error


def _partitioner(partition: Partition, clients: int, seed: int) -> Any:
    """Pathological: one label in turn, so that every class has a client, and the others at random."""
    kinds = _partitioners()
    if partition.kind is PartitionKind.IID:
        return kinds.IidPartitioner(clients)
    if partition.kind is PartitionKind.DIRICHLET:
        return kinds.DirichletPartitioner(clients, "label", partition.alpha, 0, self_balancing=True, seed=seed)
    return kinds.PathologicalPartitioner(
        clients, "label", partition.labels_per_client, "first-deterministic", seed=seed
    )


@cache
def _partitioners() -> Any:
    """Imported when first needed: it takes a second or two."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import flwr_datasets.partitioner
    return flwr_datasets.partitioner


@cache
def _row_numbers_class() -> Any:
    """A data set that answers a selection with the row numbers alone: gathering rows would cost 3 ms a client."""
    import datasets

    class RowNumbers(datasets.Dataset):  # type: ignore[misc]
        def select(self, indices: Iterable[int], **_: Any) -> Iterable[int]:
            return indices

    return RowNumbers


def _level(owner: NDArray[np.int64], y: NDArray[np.int64], inside: NDArray[np.bool_], need: int, clients: int) -> None:
    """Move rows of one split, in place, until every client has as many as it needs."""
    held = np.bincount(owner[inside & (owner >= 0)], minlength=clients)
    for poor in np.flatnonzero(held < need):
        labels = np.unique(y[owner == poor])
        while held[poor] < need:
            row = _spare(owner, held, inside & np.isin(y, labels), need)
            if row is None:
                row = _spare(owner, held, inside, need)
            assert row is not None  # there are enough rows for all
            held[owner[row]] -= owner[row] >= 0
            owner[row] = poor
            held[poor] += 1


def _spare(owner: NDArray[np.int64], held: NDArray[np.int64], wanted: NDArray[np.bool_], need: int) -> int | None:
    """The first wanted row of the client with most rows of this split, of those that have more than they need."""
    rows = np.flatnonzero(wanted)
    rows = rows[(owner[rows] == NOBODY) | (held[owner[rows]] > need)]
    if not len(rows):
        return None
    wealth = np.where(owner[rows] == NOBODY, -1, held[owner[rows]])
    return int(rows[wealth.argmax()])
