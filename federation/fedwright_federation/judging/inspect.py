"""The program that looks at a task's data before anything is planned: facts.json, or problem.json, never both."""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedwright_crds.box import Box
from fedwright_crds.documents import DataFacts, Problem
from fedwright_crds.task import Task
from fedwright_federation.judging.programs import write
from fedwright_federation.tasks import TRAIN, BadInputError, TaskData, load_task

SEED = 0
"""The draw of the partition that the facts describe."""


def main(argv: Sequence[str]) -> int:
    del argv
    box = Box.here()
    task = Task.model_validate_json(box.input("task.json").read_bytes())
    try:
        facts = facts_of(load_task(task, SEED))
    except BadInputError as error:
        problem = Problem(field=error.field, message=error.reason[:16000], mend=error.mend[:1000])
        write(box.output("problem.json"), problem)
        return 0
    write(box.output("facts.json"), facts)
    return 0


def facts_of(data: TaskData) -> DataFacts:
    """Sizes and proportions of the training rows."""
    rows = [data.rows(TRAIN, client) for client in range(data.task.clients)]
    counts = np.stack([np.bincount(data.output[held], minlength=data.classes) for held in rows])
    return DataFacts(
        samples=len(data.y),
        classes=data.classes,
        input_shape=data.input_shape,
        train_samples_per_client=tuple(len(held) for held in rows),
        labels_per_client=tuple(int((line > 0).sum()) for line in counts),
        label_skew=_label_skew(counts, len(data.heads.outputs)),
        feature_shift=_feature_shift(data.x.reshape(len(data.x), -1), rows),
    )


def _label_skew(counts: NDArray[np.int64], heads: int) -> float:
    """Mean total-variation distance of the clients' label distributions from that of all clients with the same head.

    Less what chance gives rows dealt at random, scaled so that 1 stays 1: a few rows never have the proportions of all.
    """
    together = np.stack([counts[head::heads].sum(0) for head in range(heads)])[np.arange(len(counts)) % heads]
    held, of = counts.sum(1, keepdims=True), together.sum(1, keepdims=True)
    own, peers = counts / held, together / of
    found = 0.5 * np.abs(own - peers).sum(1).mean()
    chance = 0.5 * np.sqrt(2 / np.pi * peers * (1 - peers) * (1 / held - 1 / of)).sum(1).mean()
    return float(max(0.0, (found - chance) / (1 - chance)))


def _feature_shift(x: NDArray[np.float32], rows: Sequence[NDArray[np.intp]]) -> float:
    """Mean over clients of the root mean square, over features, of (client's mean - mean) / standard deviation.

    Less what chance gives rows dealt at random.
    """
    everyone = x[np.concatenate(rows)].astype(np.float64)
    mean, deviation = everyone.mean(0), everyone.std(0)
    varies = deviation > 1e-9
    if not varies.any():
        return 0.0
    moved = np.stack([(x[held].mean(0) - mean)[varies] / deviation[varies] for held in rows])
    chance = np.array([1 / len(held) - 1 / len(everyone) for held in rows])
    return float(np.sqrt(np.maximum(0.0, (moved**2).mean(1) - chance)).mean())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
