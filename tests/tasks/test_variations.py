"""What differs from client to client and from stage to stage."""

import json

import numpy as np
import pytest

from fedwright_crds.task import Task
from fedwright_federation.tasks import SELECTION, TEST, TRAIN, BadInputError, load_task
from fedwright_federation.tasks.sources import load_raw


def task_of(**fields: object) -> Task:
    return Task.model_validate_json(json.dumps({"data": {"source": "Digits"}, "clients": 8, **fields}))


def test_a_shifted_client_sees_one_linear_map_of_its_rows_in_every_split() -> None:
    task = task_of(featureShift={}, partition={"kind": "IID"})
    data, raw = load_task(task, 2), load_raw(task.data, 8)
    scales = []
    for client in range(8):
        rows = np.flatnonzero(data.client == client)
        (scale, offset), error, *_ = np.polyfit(raw.x[rows].ravel(), data.x[rows].ravel(), 1, full=True)
        assert error[0] < 1e-4 and 0.3 <= abs(scale) <= 3.0 and np.isfinite(offset)
        scales.append(scale)
    assert min(scales) < 0 < max(scales)


def test_label_noise_touches_the_training_rows_of_its_clients_alone() -> None:
    data = load_task(task_of(labelNoise={"clientFraction": 0.5, "labelFraction": 0.4}), 1)
    wrong = data.taught != data.y
    assert not wrong[data.rows(SELECTION)].any() and not wrong[data.rows(TEST)].any()
    shares = [wrong[data.rows(TRAIN, client)].mean() for client in range(8)]
    noisy = [share for share in shares if share]
    assert len(noisy) == 4 and np.allclose(noisy, 0.4, atol=0.02)
    x, y = data.shard(shares.index(noisy[0]))
    assert len(x) == len(y) and data.taught.min() >= 0 and data.taught.max() <= 9


def test_a_continual_client_holds_the_present_stage_alone() -> None:
    task = task_of(continual={"tasks": 5}, partition={"kind": "IID"}, training={"rounds": 20})
    data = load_task(task, 0)
    seen = [set(data.shard(0, number).y) for number in range(1, 21)]
    assert seen[0] == {0, 1} and seen[3] == {0, 1} and seen[4] == {2, 3} and seen[19] == {8, 9}
    assert set(data.shard(0).y) == set(range(10))
    assert set(data.shard(0, 1, rounds=5).y) == {0, 1} and set(data.shard(0, 5, rounds=5).y) == {8, 9}


def test_more_stages_than_classes_names_the_field() -> None:
    with pytest.raises(BadInputError) as caught:
        load_task(task_of(continual={"tasks": 11}), 0)
    assert caught.value.field == "spec.task.continual.tasks"
