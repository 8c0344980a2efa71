"""The judge's first step: shards for the clients, inputs without labels for prediction, labels for the score.

Each goes to a folder of its own, and no step sees two of them together save this one.
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fedwright_crds.box import Box
from fedwright_crds.documents import JudgeSpec, ServerFacts, Split
from fedwright_federation.judging.probes import Probes, Role, matched, twins
from fedwright_federation.judging.programs import folder, judge_spec, write
from fedwright_federation.tasks import SELECTION, TEST, TRAIN, TaskData, load_task


def main(argv: Sequence[str]) -> int:
    del argv
    box = Box.here()
    spec = judge_spec(box)
    data = load_task(spec.task, spec.seed)
    write_shards(folder(box.handover("shards")), spec, data)
    write_questions(folder(box.handover("inputs")), folder(box.handover("labels")), spec, data)
    return 0


def write_shards(to: Path, spec: JudgeSpec, data: TaskData) -> None:
    """`server.json`, and `client-<i>.npz` with x, y, classes, and period where data arrive in stages."""
    clients = range(spec.task.clients)
    samples = tuple(len(data.shard(client, 1, spec.rounds).y) for client in clients)
    facts = ServerFacts(input_shape=data.input_shape, classes=data.classes, samples=samples)
    write(to / "server.json", facts)
    for client in clients:
        rows = data.rows(TRAIN, client)
        columns: dict[str, Any] = {"x": data.x[rows], "y": data.taught[rows], "classes": np.array(data.classes)}
        if spec.task.continual:
            columns["period"] = data.stage[rows]
        np.savez(to / f"client-{client}.npz", **columns)


def write_questions(inputs: Path, labels: Path, spec: JudgeSpec, data: TaskData) -> None:
    """`inputs.npz`: x, client, classes. `labels.npz`: y (which of all outputs), client, role, stage, and the twin's original.

    Both in one order; the original is named by its position.
    """
    opened, closed = (TEST, SELECTION) if spec.split is Split.TEST else (SELECTION, TEST)
    rng = _secret(data, spec.seed)
    probes = matched(data, closed, rng) if spec.probe else Probes(np.zeros(0, np.intp), np.zeros(0, np.intp))
    judged = data.rows(opened)
    groups = [judged, probes.members, probes.strangers]
    again = [probes.members, probes.strangers, judged[: len(judged) if spec.probe else 0]]
    once, twinned = np.concatenate(groups), np.concatenate(again)
    rows = np.concatenate([once, twinned])
    role = np.repeat(np.array(list(Role), dtype=np.int8), [len(group) for group in (*groups, *again)])
    noise = twins(data.x[twinned], float(data.x.std()), rng)
    order = rng.permutation(len(rows))
    place = np.argsort(order)
    original = np.concatenate([np.arange(len(once)), np.roll(np.arange(len(once)), -len(judged))[: len(twinned)]])
    np.savez(
        inputs / "inputs.npz",
        x=np.concatenate([data.x[once], noise])[order],
        client=data.client[rows][order],
        classes=np.array(data.classes),
    )
    np.savez(
        labels / "labels.npz",
        y=data.output[rows][order],
        client=data.client[rows][order],
        role=role[order],
        stage=data.stage[rows][order],
        original=place[original][order],
        classes=np.array(data.classes),
    )


def _secret(data: TaskData, seed: int) -> np.random.Generator:
    """Draws that repeat, and that nobody without the data can repeat: the order of the inputs must not tell their roles."""
    digest = hashlib.sha256(data.x.tobytes() + data.y.tobytes()).digest()
    return np.random.default_rng([seed, *digest])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
