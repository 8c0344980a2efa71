"""Who goes on after the first rung: pure decisions, with numbers that can be checked by hand."""

import math

import numpy as np
import pytest

from fedwright_crds.request import Constraint
from fedwright_crds.task import Metric
from fedwright_operator.reconcile.cascade import Mark, noise_band, on_plateau, ranked, survivors, violation

ACCURACY = Constraint(metric=Metric.ACCURACY, margin=0.02)


def marks(**values: float) -> dict[str, Mark]:
    return {name: Mark(value) for name, value in values.items()}


def test_the_band_is_two_standard_errors_of_a_difference_of_means() -> None:
    samples = [[0.8, 0.9], [0.6, 0.7]]
    assert noise_band(samples) == pytest.approx(2 * math.sqrt(2 * 0.005 / 2))


def test_one_seed_has_no_measure_of_noise_so_nothing_is_cut() -> None:
    assert noise_band([[0.9], [0.1]]) == math.inf
    scores = {"a": [0.9], "b": [0.1]}
    assert survivors(scores, marks(a=0.9, b=0.1), True, 1) == {"a", "b"}


def test_only_what_is_outside_the_band_is_cut_and_the_least_stay_anyway() -> None:
    scores = {"best": [0.90, 0.92], "near": [0.88, 0.90], "far": [0.50, 0.52]}
    found = marks(best=0.91, near=0.89, far=0.51)
    assert survivors(scores, found, True, 1) == {"best", "near"}
    assert survivors(scores, found, True, 3) == {"best", "near", "far"}
    assert survivors(scores, found, False, 1) == {"far"}, "where lower is better"


def test_a_violation_that_noise_can_explain_cuts_nobody() -> None:
    """All cost the same; one loses a whole margin of accuracy at most, the other twice that."""
    reference = {"Accuracy/Global": 0.90}
    seen = {name: violation({"Accuracy/Global": value}, reference, [ACCURACY]) for name, value in VALUES.items()}
    scores = {name: [1.0, 1.0] for name in VALUES}
    found = {name: Mark(1.0, seen[name]) for name in VALUES}
    assert survivors(scores, found, False, 1) == {"keeps", "edge"}


VALUES = {"keeps": 0.895, "edge": 0.881, "breaks": 0.86}


def test_equal_candidates_are_seldom_cut() -> None:
    rng = np.random.default_rng(0)
    cut = 0
    for _ in range(400):
        scores = {str(n): list(rng.normal(0.8, 0.02, 3)) for n in range(8)}
        kept = survivors(scores, {name: Mark(float(np.mean(own))) for name, own in scores.items()}, True, 1)
        cut += 8 - len(kept)
    assert cut / (400 * 8) < 0.2


def test_constraints_come_before_the_objective() -> None:
    found = {"cheap": Mark(1.0, violation=0.5), "dear": Mark(2.0)}
    assert ranked(found, higher_is_better=False) == ["dear", "cheap"]


def test_the_search_ends_when_a_generation_brings_nothing() -> None:
    assert not on_plateau([0.8], True, 1)
    assert not on_plateau([0.8, 0.81], True, 1)
    assert on_plateau([0.8, 0.8], True, 1)
    assert on_plateau([0.8, None], True, 1)
    assert not on_plateau([0.8, 0.7, 0.9], True, 2)
