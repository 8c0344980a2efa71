"""Labels that are bought: the oracle keeps the books."""

import json

import numpy as np
import pytest

from fedwright_crds.task import Task
from fedwright_federation.tasks import TRAIN, load_task
from fedwright_federation.tasks.active import ActiveTask, BudgetSpentError, LabelOracle


@pytest.fixture
def oracle() -> LabelOracle:
    return LabelOracle([np.arange(10), np.arange(10, 20)], total=8, per_client=5)


def test_each_new_label_is_debited_once(oracle: LabelOracle) -> None:
    assert list(oracle(1, [3, 0, 3])) == [13, 10, 13]
    assert oracle.spent == 2
    assert list(oracle(1, [0])) == [10]
    assert oracle.spent == 2 and list(oracle.bought(1)) == [0, 3]


def test_what_is_not_left_is_not_sold_in_part(oracle: LabelOracle) -> None:
    oracle(0, range(5))
    with pytest.raises(BudgetSpentError, match="asked for 1 labels and 0 are left"):
        oracle(0, [9])
    with pytest.raises(BudgetSpentError, match="3 are left"):
        oracle(1, range(4))
    assert oracle.spent == 5
    oracle(1, range(3))
    with pytest.raises(BudgetSpentError):
        oracle(1, [5])


@pytest.mark.parametrize("index", [-1, 10])
def test_there_are_no_labels_beyond_the_inputs(oracle: LabelOracle, index: int) -> None:
    with pytest.raises(IndexError, match="inputs 0 to 9"):
        oracle(0, [index])


def test_clients_train_on_what_they_have_bought() -> None:
    data = load_task(Task.model_validate_json(json.dumps({"data": {"source": "Digits"}, "clients": 4})), 0)
    active = ActiveTask(data, total=20, per_client=8, initial=3)
    assert len(active.shard(2).y) == 3 and len(active.unlabelled(2)) == len(data.rows(TRAIN, 2))
    fresh = np.setdiff1d(np.arange(20), active.oracle.bought(2))[:8]
    active.oracle(2, fresh)
    x, y = active.shard(2)
    rows = data.rows(TRAIN, 2)[active.oracle.bought(2)]
    assert len(y) == 11 and np.array_equal(y, data.y[rows]) and np.array_equal(x, data.x[rows])
    with pytest.raises(BudgetSpentError):
        active.oracle(2, range(20))
