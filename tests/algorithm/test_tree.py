"""Trees, and sub-models in the global frame."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedwright_federation.algorithm import Frame, Tree
from fedwright_federation.algorithm.tree import add, flatten, norm, pick, scale, subtract, unflatten, weighted_sum


def tree(seed: int) -> Tree:
    rng = np.random.default_rng(seed)
    return {"a": rng.normal(size=(4, 3)).astype(np.float32), "b": rng.normal(size=5).astype(np.float32)}


def same(left: Tree, right: Tree) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[key], right[key]) for key in left)


def test_adding_a_difference_gives_back_the_end() -> None:
    start, end = tree(0), tree(1)
    assert all(np.allclose(add(start, subtract(end, start))[key], end[key], atol=1e-6) for key in end)


def test_adding_part_of_a_tree_leaves_the_rest() -> None:
    start = tree(0)
    assert same(add(start, {"b": np.zeros(5, np.float32)}), start)
    assert pick(start, ["b", "absent"]).keys() == {"b"}


def test_a_weighted_sum_hardly_depends_on_the_order() -> None:
    trees, weights = [scale(tree(i), 10.0**i) for i in range(6)], np.linspace(0.1, 0.9, 6)
    forward, backward = weighted_sum(trees, weights), weighted_sum(trees[::-1], weights[::-1])
    assert all(np.allclose(forward[key], backward[key], rtol=1e-6) for key in forward)


def test_the_norm_is_over_all_coordinates() -> None:
    assert norm({"a": np.array([3.0], np.float32), "b": np.array([[4.0]], np.float32)}) == 5.0


def test_names_and_keys_come_apart_again() -> None:
    named = {"first": tree(0), "second": {"x.y": tree(1)["a"]}}
    assert unflatten(flatten(named)).keys() == named.keys()
    assert all(same(unflatten(flatten(named))[name], named[name]) for name in named)


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(0, 2), min_size=1, unique=True),
)
def test_lifting_a_sub_model_puts_every_coordinate_where_it_came_from(rows: list[int], columns: list[int]) -> None:
    """Any rows and columns, and a key that is left out."""
    whole = tree(0)
    frame = Frame({"a": (np.array(rows), np.array(columns))})
    small = frame.down(whole)
    assert small.keys() == {"a"}
    assert small["a"].shape == (len(rows), len(columns))
    lifted, mask = frame.lift(small, whole)
    assert mask["a"].sum() == len(rows) * len(columns)
    assert not mask["b"].any()
    assert np.array_equal(lifted["a"][mask["a"]], whole["a"][mask["a"]])
    assert not lifted["a"][~mask["a"]].any()
    assert same(frame.down(lifted), small)
