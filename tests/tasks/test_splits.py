"""No seed ever moves a row from one split to another, and no client is left without rows."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedwright_crds.task import Task
from fedwright_federation.tasks import SELECTION, TEST, TRAIN, BadInputError, load_task
from fedwright_federation.tasks.sources import load_raw


def task_of(**fields: object) -> Task:
    return Task.model_validate_json(json.dumps({"data": {"source": "Digits"}, **fields}))


KINDS = st.sampled_from(["IID", "Dirichlet", "Pathological"])


@settings(max_examples=25, deadline=None)
@given(
    kind=KINDS, alpha=st.sampled_from([0.01, 0.1, 1.0, 100.0]), clients=st.integers(2, 60), seed=st.integers(0, 10**6)
)
def test_every_client_has_rows_of_each_split_and_no_row_has_two_owners(
    kind: str, alpha: float, clients: int, seed: int
) -> None:
    task = task_of(partition={"kind": kind, "alpha": alpha}, clients=clients)
    data = load_task(task, seed)
    for client in range(clients):
        assert len(data.rows(TRAIN, client)) >= task.partition.min_samples
        assert len(data.rows(SELECTION, client)) and len(data.rows(TEST, client))
    everyone = np.concatenate([data.rows(split, client) for split in range(3) for client in range(clients)])
    assert len(np.unique(everyone)) == len(everyone)
    if kind != "Pathological":
        assert len(everyone) == 1797


@settings(max_examples=15, deadline=None)
@given(seeds=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), kind=KINDS)
def test_what_one_seed_trains_on_no_other_seed_tests_on(seeds: tuple[int, int], kind: str) -> None:
    one, other = (load_task(task_of(partition={"kind": kind}), seed) for seed in seeds)
    trained = {row.tobytes() for row in one.x[one.rows(TRAIN)]}
    untrained = {row.tobytes() for split in (SELECTION, TEST) for row in other.x[other.rows(split)]}
    assert not trained & untrained
    assert np.array_equal(one.split, other.split)


def test_splits_are_sixty_twenty_twenty_within_each_class() -> None:
    data = load_task(task_of(), 0)
    for label in range(10):
        shares = np.bincount(data.split[data.y == label], minlength=3) / (data.y == label).sum()
        assert np.allclose(shares, [0.6, 0.2, 0.2], atol=0.02)


def test_a_seed_repeats_and_another_deals_differently() -> None:
    task = task_of()
    one = load_task(task, 5).client.copy()
    load_task.cache_clear()
    assert np.array_equal(one, load_task(task, 5).client)
    assert not np.array_equal(one, load_task(task, 6).client)


def test_skew_follows_the_partition() -> None:
    def labels(**partition: object) -> float:
        data = load_task(task_of(partition=partition), 0)
        return float(np.mean([len(np.unique(data.y[data.rows(TRAIN, i)])) for i in range(20)]))

    assert labels(kind="IID") > 9.5
    assert labels(kind="Dirichlet", alpha=0.1) < 5 < labels(kind="Dirichlet", alpha=10.0)
    assert labels(kind="Pathological", labelsPerClient=2) == 2
    assert labels(kind="Pathological", labelsPerClient=1) == 1


def test_a_clients_rows_of_all_splits_have_its_labels() -> None:
    data = load_task(task_of(partition={"kind": "Pathological"}), 3)
    for client in range(20):
        assert set(data.y[data.rows(TEST, client)]) <= set(data.y[data.rows(TRAIN, client)])


def test_more_clients_than_samples_names_the_field_and_the_mend() -> None:
    with pytest.raises(BadInputError, match=r"1797 rows.*at most 134") as caught:
        load_task(task_of(clients=200), 0)
    assert caught.value.field == "spec.task.clients"
    assert "more clients than samples" in caught.value.reason


def test_more_labels_than_classes_names_the_field() -> None:
    with pytest.raises(BadInputError) as caught:
        load_task(task_of(partition={"kind": "Pathological", "labelsPerClient": 11}), 0)
    assert caught.value.field == "spec.task.partition.labelsPerClient"


def test_sources_that_name_clients_keep_them() -> None:
    task = task_of(data={"source": "Synthetic"}, partition={"kind": "Natural"}, clients=30)
    data = load_task(task, 0)
    assert np.array_equal(data.client, load_task(task, 9).client)
    sizes = np.bincount(data.client)
    assert len(sizes) == 30 and sizes.min() >= 50 and sizes.max() == 200
    with pytest.raises(BadInputError, match="set it to Natural"):
        load_task(task_of(data={"source": "Synthetic"}), 0)


def test_synthetic_clients_differ_more_with_beta() -> None:
    def spread(beta: float) -> float:
        task = task_of(data={"source": "Synthetic", "syntheticBeta": beta}, partition={"kind": "Natural"}, clients=30)
        data = load_task(task, 0)
        return float(np.std([data.x[data.rows(TRAIN, i)].mean() for i in range(30)]))

    assert spread(10.0) > 3 * spread(0.0)


def test_one_linear_map_explains_all_clients_of_the_shared_representation() -> None:
    """Between-class means of all clients lie in the four dimensions of B, less what sampling adds."""
    task = task_of(data={"source": "SharedRepresentation"}, partition={"kind": "Natural"}, clients=40)
    data = load_task(task, 0)
    means = [
        data.x[(data.client == i) & (data.y == c)].mean(0)
        for i in range(40)
        for c in range(5)
        if ((data.client == i) & (data.y == c)).sum() > 5
    ]
    strength = np.linalg.svd(np.stack(means), compute_uv=False) ** 2
    assert strength[3] > 2 * strength[4] and strength[4] < 1.5 * strength[5]


@pytest.mark.parametrize(
    ("source", "shape", "classes"),
    [("Digits", (1, 8, 8), 10), ("BreastCancer", (30,), 2), ("Mnist5k", (1, 28, 28), 10)],
)
def test_what_packages_carry(source: str, shape: tuple[int, ...], classes: int) -> None:
    raw = load_raw(task_of(data={"source": source}).data, 20)
    assert raw.x.shape[1:] == shape and raw.classes == classes and raw.x.dtype == np.float32
    assert raw.client is None and set(raw.y) == set(range(classes))
    if source != "BreastCancer":
        assert raw.x.min() == 0 and raw.x.max() == 1
