"""The committee's arithmetic against the definition, over all subsets."""

from itertools import combinations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fedwright_crds.committee import agreement, kendall_tau, normalised, standings, top_k
from fedwright_crds.documents import Grade

DIMENSIONS = ("novelty", "correctness")


def review(scores: list[list[float]]) -> tuple[Grade, ...]:
    """One reviewer's grades; a row a proposal, a column a dimension."""
    return tuple(
        Grade(proposal=number, dimension=dimension, score=score)
        for number, row in enumerate(scores)
        for dimension, score in zip(DIMENSIONS, row, strict=True)
    )


SCORES = some.lists(some.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=2, max_size=2)


@given(some.lists(some.lists(SCORES, min_size=5, max_size=5), min_size=1, max_size=4), some.integers(1, 5))
def test_no_subset_of_size_k_has_a_greater_sum(scores: list[list[list[float]]], k: int) -> None:
    """argmax over P of sum_{i in P} (1/m) sum_j G(p_i, R_j), G a reviewer's mean over dimensions."""

    def value(subset: tuple[int, ...]) -> float:
        return sum(fmean(fmean(reviewer[i]) for reviewer in scores) for i in subset)

    chosen = top_k([review(reviewer) for reviewer in scores], 5, k)
    assert len(set(chosen)) == k
    assert value(chosen) == pytest.approx(max(value(subset) for subset in combinations(range(5), k)))


def test_ties_keep_the_order_of_the_proposals() -> None:
    assert top_k([review([[0.5, 0.5]] * 4)], 4, 2) == (0, 1)


def test_a_missing_grade_is_left_out_and_never_a_zero() -> None:
    both, one = review([[0.6, 0.6], [0.5, 0.5]]), review([[0.0, 0.0], [0.9, 0.9]])[2:]
    assert standings([both, one], 2)[0].total == pytest.approx(0.6)
    assert top_k([both, one], 2, 1) == (1,)


def test_who_was_graded_by_nobody_comes_last() -> None:
    assert top_k([review([[0.0, 0.0]])], 3, 3) == (0, 1, 2)
    assert standings([review([[0.0, 0.0]])], 3)[2].total is None


def test_agreement_is_one_for_equal_orders_and_minus_one_for_opposite_ones() -> None:
    up, down = review([[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]), review([[0.9, 0.9], [0.5, 0.5], [0.1, 0.1]])
    assert agreement([up, up], 3) == 1
    assert agreement([up, down], 3) == -1
    assert agreement([up], 3) is None


def test_kendalls_tau_b_with_ties_is_the_textbooks() -> None:
    assert kendall_tau([1, 2, 2, 3], [1, 3, 2, 4]) == pytest.approx(5 / (5 * 6) ** 0.5)
    assert kendall_tau([1, 1], [1, 2]) is None


@given(some.lists(SCORES, min_size=2, max_size=6))
def test_a_judge_s_kindness_and_the_width_of_its_scale_count_for_nothing(scores: list[list[float]]) -> None:
    narrow = [[0.4 + score / 10 for score in row] for row in scores]
    one, other = normalised(review(scores)), normalised(review(narrow))
    assert [a.score for a in one] == pytest.approx([b.score for b in other], abs=1e-6)
    assert all(0 <= grade.score <= 1 for grade in one)


def test_normalised_grades_keep_their_order_and_their_mean_is_one_half() -> None:
    found = [grade.score for grade in normalised(review([[0.1, 0.2], [0.3, 0.4]]))]
    assert found == sorted(found) and fmean(found) == pytest.approx(0.5)


def test_equal_grades_say_nothing() -> None:
    assert {grade.score for grade in normalised(review([[0.9, 0.9], [0.9, 0.9]]))} == {0.5}
    assert normalised(()) == ()
