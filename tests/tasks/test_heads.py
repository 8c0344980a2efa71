"""Tasks with several heads: whose row has which label, and groupings that do not fit the data."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwright_crds.task import Metric, Task, measurable
from fedwright_federation.heads import Heads
from fedwright_federation.judging.inspect import facts_of
from fedwright_federation.tasks import SELECTION, TEST, TRAIN, BadInputError, load_task

DIGIT = {"name": "digit"}
PARITY = {"name": "odd-even", "groups": [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]}
HALF = {"name": "at-least-5", "groups": [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]}


def task_of(*heads: object, **fields: object) -> Task:
    wire = {"data": {"source": "Digits"}, "clients": 8, "heads": heads, **fields}
    return Task.model_validate_json(json.dumps(wire))


def test_a_row_has_the_label_of_its_owners_head() -> None:
    """In every split; and the model's output of it lies beyond those of the heads before."""
    plain, data = load_task(task_of(), 3), load_task(task_of(DIGIT, PARITY, HALF), 3)
    assert data.heads == Heads((10, 2, 2)) and data.classes == 14
    assert np.array_equal(data.client, plain.client) and np.array_equal(data.x, plain.x)
    expected = [(plain.y, 0), (plain.y % 2, 10), (plain.y // 5, 12)]
    for client in range(8):
        labels, first = expected[client % 3]
        rows = np.concatenate([data.rows(split, client) for split in (TRAIN, SELECTION, TEST)])
        assert len(rows) and np.array_equal(data.y[rows], labels[rows])
        assert np.array_equal(data.output[rows], labels[rows] + first)
        assert np.array_equal(data.shard(client).y, labels[data.rows(TRAIN, client)])


def test_one_head_of_the_sources_classes_is_a_task_without_heads() -> None:
    plain, data = load_task(task_of(), 1), load_task(task_of(DIGIT), 1)
    for name in ("x", "y", "taught", "client", "split", "stage", "output", "heads"):
        assert np.array_equal(getattr(data, name), getattr(plain, name)), name
    assert np.array_equal(plain.output, plain.y)
    assert facts_of(data) == facts_of(plain)


def test_wrong_labels_are_wrong_in_the_owners_head() -> None:
    """A head of two classes is taught the other one: noise of the source's classes would often have changed nothing."""
    noise = {"clientFraction": 1.0, "labelFraction": 0.5}
    data = load_task(task_of(PARITY, DIGIT, labelNoise=noise), 0)
    for client in range(8):
        rows = data.rows(TRAIN, client)
        assert (data.taught[rows] != data.y[rows]).mean() == pytest.approx(0.5, abs=0.02)
        assert data.taught[rows].min() >= 0 and data.taught[rows].max() < data.heads.count(client)


def test_label_skew_is_that_among_clients_of_one_head() -> None:
    """Alike clients of different heads have different labels, and no skew."""
    alike = facts_of(load_task(task_of(DIGIT, PARITY, HALF, partition={"kind": "IID"}), 0))
    plain = facts_of(load_task(task_of(partition={"kind": "IID"}), 0))
    assert alike.label_skew < plain.label_skew + 0.02 < 0.15
    assert alike.labels_per_client == (10, 2, 2, 10, 2, 2, 10, 2)


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ([[0, 2], [1, 3]], "no group of some has class [4-9], and client [0-7], which has that head, holds rows of it"),
        ([[0, 2, 4, 6, 8], [1, 3, 5, 7, 9, 10]], "groups of some hold class 10 and the data has classes 0 to 9"),
    ],
    ids=["too few", "too many"],
)
def test_groups_that_are_not_the_datas_classes_name_the_field(groups: list[list[int]], reason: str) -> None:
    with pytest.raises(BadInputError, match=reason) as caught:
        load_task(task_of({"name": "some", "groups": groups}), 0)
    assert caught.value.field == "spec.task.heads"


def test_a_users_clients_may_answer_questions_that_have_nothing_in_common(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each head groups the labels that its own clients hold, and no others."""
    (tmp_path / "ward.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    client = np.repeat(np.arange(4), 50)\n"
        "    fever, rhythm = np.array(['cold', 'warm']), np.array(['fast', 'slow', 'still'])\n"
        "    i = np.arange(200)\n"
        "    return np.eye(5)[i % 5], np.where(client % 2 == 0, fever[i % 2], rhythm[i % 3]), client\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    named = {"cold": 0, "fast": 1, "slow": 2, "still": 3, "warm": 4}
    data = load_task(
        task_of(
            {"name": "fever", "groups": [[named["cold"]], [named["warm"]]]},
            {"name": "rhythm", "groups": [[named["still"]], [named["slow"]], [named["fast"]]]},
            data={"source": "EntryPoint", "entryPoint": "ward:load"},
            partition={"kind": "Natural"},
            clients=4,
        ),
        0,
    )
    assert data.heads == Heads((2, 3))
    assert [set(data.shard(client).y) for client in range(4)] == [{0, 1}, {0, 1, 2}] * 2
    i = np.arange(200)
    assert np.array_equal(data.y, np.where(data.client % 2 == 0, i % 2, 2 - i % 3))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(2, 9))
def test_outputs_are_known_from_their_sum(groups: list[int], source: int) -> None:
    """Whatever heads keep the source's classes (here 0), where any do."""
    heads = [{"name": f"h{i}", "groups": [[k] for k in range(n)] if n > 1 else []} for i, n in enumerate(groups)]
    task = task_of(*heads)
    outputs = tuple(head.classes(source) for head in task.heads)
    assert task.outputs(sum(outputs)) == outputs


@pytest.mark.parametrize(
    ("heads", "reason"), [((), "several heads"), ((PARITY,), "several heads"), ((PARITY, HALF), "")]
)
def test_the_worst_head_is_one_of_several(heads: tuple[object, ...], reason: str) -> None:
    assert reason in (measurable(task_of(*heads), Metric.WORST_HEAD_ACCURACY) or "")
    assert bool(measurable(task_of(*heads), Metric.WORST_HEAD_ACCURACY)) == bool(reason)
