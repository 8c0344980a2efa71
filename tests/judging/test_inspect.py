"""Facts of a task's data, or the problem with it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedwright_crds.documents import DataFacts, Problem
from fedwright_federation.judging.inspect import main
from fedwright_federation.tasks import TRAIN, load_task

Inspect = Callable[[dict[str, object]], DataFacts | Problem]


@pytest.fixture
def inspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inspect:
    monkeypatch.setenv("FEDWRIGHT_BOX", str(tmp_path))

    def run(task: dict[str, object]) -> DataFacts | Problem:
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / "task.json").write_text(json.dumps({"data": {"source": "Digits"}, **task}))
        assert main([]) == 0
        (written,) = (tmp_path / "out").iterdir()
        kind = {"facts.json": DataFacts, "problem.json": Problem}[written.name]
        found = kind.model_validate_json(written.read_bytes())
        written.unlink()
        return found

    return run


def test_facts_tell_skewed_from_even_data(inspect: Inspect) -> None:
    even, skewed = inspect({"partition": {"kind": "IID"}}), inspect({"partition": {"kind": "Pathological"}})
    assert isinstance(even, DataFacts) and isinstance(skewed, DataFacts)
    assert even.samples == 1797 and even.classes == 10 and even.input_shape == (1, 8, 8)
    assert even.label_skew < 0.02 and 0.7 < skewed.label_skew < 0.85
    assert set(skewed.labels_per_client) == {2} and len(even.train_samples_per_client) == 20


def test_facts_tell_shifted_features(inspect: Inspect) -> None:
    plain = inspect({"partition": {"kind": "IID"}})
    shifted = inspect({"partition": {"kind": "IID"}, "featureShift": {}})
    assert isinstance(plain, DataFacts) and isinstance(shifted, DataFacts)
    assert shifted.feature_shift > 0.5 > 2 * plain.feature_shift


@pytest.mark.parametrize("clients", [4, 20, 80])
def test_chance_alone_is_neither_skew_nor_shift(clients: int, inspect: Inspect) -> None:
    """80 clients with 13 rows each have label distributions a third apart, however the rows were dealt."""
    found = inspect({"clients": clients, "partition": {"kind": "IID"}})
    assert isinstance(found, DataFacts)
    assert found.label_skew < 0.03 and found.feature_shift < 0.1


def test_skew_is_the_total_variation_distance_beyond_that_of_chance(inspect: Inspect) -> None:
    from fedwright_crds.task import Task

    task = {"data": {"source": "Digits"}, "clients": 4, "partition": {"kind": "Dirichlet", "alpha": 0.2}}
    data = load_task(Task.model_validate_json(json.dumps(task)), 0)
    shares = [np.bincount(data.y[data.rows(TRAIN, i)], minlength=10) / len(data.rows(TRAIN, i)) for i in range(4)]
    everyone = np.bincount(data.y[data.rows(TRAIN)], minlength=10) / len(data.rows(TRAIN))
    found = inspect(task)
    assert isinstance(found, DataFacts)
    distance = np.mean([0.5 * np.abs(own - everyone).sum() for own in shares])
    rng, sizes = np.random.default_rng(0), [len(data.rows(TRAIN, i)) for i in range(4)]
    dealt = [rng.permutation(data.y[data.rows(TRAIN)])[:size] for size in sizes for _ in range(500)]
    chance = np.mean([0.5 * np.abs(np.bincount(y, minlength=10) / len(y) - everyone).sum() for y in dealt])
    assert found.label_skew == pytest.approx((distance - chance) / (1 - chance), abs=0.005)


@pytest.mark.parametrize(
    ("task", "field"),
    [
        ({"clients": 200}, "spec.task.clients"),
        ({"partition": {"kind": "Pathological", "labelsPerClient": 50}}, "spec.task.partition.labelsPerClient"),
        ({"continual": {"tasks": 20}, "training": {"rounds": 40}}, "spec.task.continual.tasks"),
        ({"data": {"source": "EntryPoint", "entryPoint": "not_there_at_all:load"}}, "spec.task.data.entryPoint"),
        ({"data": {"source": "Synthetic"}}, "spec.task.partition.kind"),
    ],
)
def test_what_cannot_be_is_a_problem_with_its_field_and_mend(
    task: dict[str, object], field: str, inspect: Inspect
) -> None:
    problem = inspect(task)
    assert isinstance(problem, Problem) and problem.field == field and problem.message and problem.mend
