"""Quantity skew: clients that differ in how much they hold and in nothing else, alike in every run."""

import numpy as np

from fedwright_federation.tasks.quantity import CLIENTS, LEAST, digits


def test_every_row_has_a_client_and_sizes_fall_from_the_first_to_the_last() -> None:
    x, y, client = digits()
    sizes = np.bincount(client)
    assert len(x) == len(y) == len(client) == sizes.sum() and len(sizes) == CLIENTS
    assert (np.diff(sizes) <= 0).all() and sizes[-1] >= LEAST and sizes[0] > 5 * sizes[-1]


def test_labels_are_alike_on_all_clients() -> None:
    _, y, client = digits()
    whole = np.bincount(y, minlength=10) / len(y)
    distances = [
        np.abs(np.bincount(y[client == k], minlength=10) / (client == k).sum() - whole).sum() / 2
        for k in range(CLIENTS)
    ]
    assert max(distances) < 0.25 and distances[0] < 0.08


def test_it_is_the_same_each_time() -> None:
    first, again = digits(), digits()
    assert all((one == other).all() for one, other in zip(first, again, strict=True))
