"""Tests of the tests: against brute force, against a second implementation, and against chance."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedwright_federation.judging.statistics import holm, interval, not_inferior, sign_flip, superior

DIFFERENCES = st.lists(st.floats(-10, 10).map(lambda value: round(value, 3)), min_size=2, max_size=9)


@given(DIFFERENCES)
def test_sign_flips_are_all_of_them(differences: list[float]) -> None:
    seen = sum(differences)
    sums = [
        sum(s * d for s, d in zip(signs, differences, strict=True))
        for signs in product((1, -1), repeat=len(differences))
    ]
    assert sign_flip(differences) == pytest.approx(np.mean([total >= seen - 1e-9 for total in sums]))


def test_many_pairs_are_flipped_at_random_to_nearly_the_exact_share() -> None:
    d = np.random.default_rng(3).normal(0.3, 1.0, 24)
    exact = stats.permutation_test(
        (d,),
        lambda x, axis: x.mean(axis),
        permutation_type="samples",
        alternative="greater",
        n_resamples=200_000,
        rng=1,
    ).pvalue
    assert sign_flip(d) == pytest.approx(exact, abs=0.005)


def test_the_t_test_is_scipys() -> None:
    d = np.random.default_rng(0).normal(0.2, 1.0, 12)
    assert superior(d).t == pytest.approx(stats.ttest_1samp(d, 0.0, alternative="greater").pvalue)
    assert interval(d, 0.05) == pytest.approx(tuple(stats.ttest_1samp(d, 0.0).confidence_interval(0.95)))
    assert not_inferior(d, 0.1).t == pytest.approx(stats.ttest_1samp(d, -0.1, alternative="greater").pvalue)


def test_equal_copies_are_never_superior_and_always_within_a_margin() -> None:
    same = [0.0] * 10
    assert superior(same).t == superior(same).sign_flip == 1.0
    assert not_inferior(same, 0.0).t == not_inferior(same, 0.01).t == 0.0


def test_a_difference_that_never_varies_is_judged_by_its_sign() -> None:
    assert superior([0.25] * 10).t == 2.0**-10
    assert superior([-0.25] * 10).t == 1.0
    assert not_inferior([-0.01] * 10, 0.02).t == 0.0
    assert not_inferior([-0.01] * 10, 0.01).t == 0.0
    assert not_inferior([-0.03] * 10, 0.02).t == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_step_down_procedure(ps: list[float]) -> None:
    adjusted = holm(ps)
    for level in (0.01, 0.05, 0.2, *ps):
        rejected: set[int] = set()
        for rank, at in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
            if ps[at] * (len(ps) - rank) > level:
                break
            rejected.add(at)
        assert rejected == {at for at, p in enumerate(adjusted) if p <= level} or level >= 1


def test_eight_equal_candidates_give_a_false_winner_in_a_fortieth_of_the_cases() -> None:
    """Two finalists are chosen by other seeds; their ten fresh seeds are paired with the baseline's."""
    rng = np.random.default_rng(7)
    repeats, seeds = 4000, 10
    shared = rng.normal(0.9, 0.02, (repeats, 1, seeds))
    scores = np.round((shared + rng.normal(0, 0.01, (repeats, 3, seeds))) * 360) / 360
    d = scores[:, 1:] - scores[:, :1]
    spread = d.std(-1, ddof=1)
    t = d.mean(-1) / np.where(spread > 0, spread, np.inf) * seeds**0.5
    p = np.sort(2 * stats.t.sf(t, seeds - 1), -1)
    false = (p[:, 0] * 2 <= 0.05).mean()
    assert 0.01 < false < 0.035
    for one in range(0, repeats, 400):
        assert [superior(x).t for x in d[one]] == pytest.approx(list(stats.t.sf(t[one], seeds - 1)))
