"""Figures from answers, against values worked out by hand."""

import numpy as np
import pytest

from fedwright_federation.judging import measures


def test_accuracy_and_loss_by_hand() -> None:
    p = np.array([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]])
    y = np.array([0, 0, 1])
    assert list(measures.correct(p, y)) == [True, False, False]
    assert measures.losses(p, y) == pytest.approx(-np.log([0.7, 0.4, 0.5]))


def test_a_client_counts_once_however_many_rows_it_has() -> None:
    right, client = np.array([1, 1, 1, 1, 0]), np.array([0, 0, 0, 0, 1])
    assert right.mean() == 0.8
    assert list(measures.by_client(right, client, 2)) == [1.0, 0.0]


def test_the_worst_tenth_is_rounded_up() -> None:
    per_client = np.linspace(0.5, 0.95, 21)
    assert measures.worst_tenth(per_client) == pytest.approx(per_client[:3].mean())


def test_a_target_that_is_not_reached_is_one_round_too_late() -> None:
    assert measures.rounds_to_target((5, 10, 15), (0.2, 0.9, 0.8), 0.9) == 10
    assert measures.rounds_to_target((5, 10, 15), (0.2, 0.8, 0.8), 0.9) == 16


def test_forgetting_is_what_was_known_less_what_is() -> None:
    after = {0: {0: 0.9, 1: 0.0, 2: 0.0}, 1: {0: 0.95, 1: 0.8, 2: 0.0}, 2: {0: 0.15, 1: 0.3, 2: 1.0}}
    assert measures.forgetting(after) == pytest.approx(((0.95 - 0.15) + (0.8 - 0.3)) / 2)
    assert measures.average_accuracy(after[2]) == pytest.approx((0.15 + 0.3 + 1.0) / 3)
    assert measures.forgetting({0: {0: 0.9}}) == 0.0
