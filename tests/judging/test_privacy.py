"""The membership probe: what it measures, how sure it is, and whom it catches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedwright_federation.judging import privacy
from fedwright_federation.judging.labels import Labels
from fedwright_federation.judging.probes import Role

CLASSES, PAIRS = 5, 300


def probes(rng: np.random.Generator) -> Labels:
    """50 judged rows, PAIRS members, as many strangers, and everyone's twins."""
    role = np.repeat(np.array(list(Role), dtype=np.int8), [50, PAIRS, PAIRS, PAIRS, PAIRS, 50])
    y = rng.integers(0, CLASSES, 50 + 2 * PAIRS)
    original = np.arange(len(role))
    original[50 + 2 * PAIRS :] = np.roll(np.arange(50 + 2 * PAIRS), -50)
    return Labels(
        y=np.concatenate([y, np.roll(y, -50)]),
        client=np.zeros(len(role), dtype=np.int64),
        role=role,
        stage=np.zeros(len(role), dtype=np.int16),
        original=original,
        classes=CLASSES,
    )


def answers(labels: Labels, strength: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Probabilities that lean to the label by `strength`, [n]; a twin answers nearly as its original."""
    logits = rng.normal(0, 1, (len(labels.y), CLASSES))
    logits[np.arange(len(labels.y)), labels.y] += strength
    twins = labels.original != np.arange(len(labels.y))
    logits[twins] = logits[labels.original[twins]] + rng.normal(0, 0.02, (twins.sum(), CLASSES))
    shown = np.exp(logits)
    return shown / shown.sum(1, keepdims=True)


def lean(labels: Labels, members: float, strangers: float) -> np.ndarray:
    inside = np.isin(labels.role, [Role.MEMBER, Role.MEMBER_TWIN])
    return np.where(inside, members, strangers)


def test_a_model_that_treats_all_alike_leaks_nothing() -> None:
    rng = np.random.default_rng(0)
    labels = probes(rng)
    found = privacy.probe({"Global": answers(labels, lean(labels, 1, 1), rng)}, labels)
    assert found is not None and found.members == PAIRS
    assert found.auc_low < 0.53 and found.auc < 0.56 and found.tpr_low < 0.02 and not found.lookup_suspected


@pytest.mark.parametrize("kinds", [("Global",), ("Global", "PerClient")])
def test_a_model_that_never_saw_the_members_seldom_seems_to_leak(kinds: tuple[str, ...]) -> None:
    """Intervals at 95%: one bound in forty lies, however many signals the strongest was chosen from."""
    leaks, finds, repeats = 0, 0, 200
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        labels = probes(rng)
        found = privacy.probe({kind: answers(labels, lean(labels, 1, 1), rng) for kind in kinds}, labels)
        assert found is not None
        leaks += found.auc_low > 0.5
        finds += found.tpr_low > privacy.FALSE_POSITIVES
    assert leaks / repeats < 0.06 and finds / repeats < 0.06


def test_a_model_that_knows_its_members_leaks() -> None:
    rng = np.random.default_rng(0)
    labels = probes(rng)
    found = privacy.probe({"Global": answers(labels, lean(labels, 6, 1), rng)}, labels)
    assert found is not None and found.auc_low > 0.8 and found.tpr_low > 0.05
    assert found.auc_low < found.auc < found.auc_high <= 1 and not found.lookup_suspected


def test_the_leakiest_kind_of_model_counts() -> None:
    rng = np.random.default_rng(0)
    labels = probes(rng)
    kinds = {"Global": answers(labels, lean(labels, 1, 1), rng), "PerClient": answers(labels, lean(labels, 6, 1), rng)}
    both, alone = privacy.probe(kinds, labels), privacy.probe({"PerClient": kinds["PerClient"]}, labels)
    assert both is not None and alone is not None
    assert (both.auc, both.tpr_at_1_fpr) == (alone.auc, alone.tpr_at_1_fpr)
    assert both.auc_low < alone.auc_low and both.tpr_low < alone.tpr_low, "more signals, wider intervals"


def test_a_look_up_of_known_rows_is_caught_by_their_twins() -> None:
    """Members, and they alone, are answered like strangers; what differs by a little noise is not recognised."""
    rng = np.random.default_rng(1)
    labels = probes(rng)
    memorised = answers(labels, lean(labels, 6, 1), rng)
    disguised = memorised.copy()
    disguised[labels.of(Role.MEMBER)] = memorised[rng.permutation(labels.of(Role.STRANGER))]
    found = privacy.probe({"Global": disguised}, labels)
    assert found is not None and found.lookup_suspected
    assert found.auc_low > 0.8, "the twins still tell"


def test_answers_turned_round_leak_as_much() -> None:
    rng = np.random.default_rng(2)
    labels = probes(rng)
    found = privacy.probe({"Global": answers(labels, lean(labels, 1, 6), rng)}, labels)
    assert found is not None and found.auc_low > 0.8


def test_without_probes_there_is_no_figure() -> None:
    labels = probes(np.random.default_rng(0))
    none = Labels(labels.y, labels.client, np.zeros_like(labels.role), labels.stage, labels.original, CLASSES)
    assert privacy.probe({"Global": np.full((len(labels.y), CLASSES), 0.2)}, none) is None


@given(st.lists(st.integers(0, 6), min_size=2, max_size=30), st.lists(st.integers(0, 6), min_size=2, max_size=30))
def test_the_area_is_that_of_all_pairs(inside: list[int], outside: list[int]) -> None:
    pairs = [(a > b) + 0.5 * (a == b) for a in inside for b in outside]
    found = privacy._attack(np.array(inside, float), np.array(outside, float))
    assert found.auc == pytest.approx(max(np.mean(pairs), 1 - np.mean(pairs)))
    low, high = found.area_interval()
    assert 0 <= low <= found.auc <= high <= 1


def test_the_interval_covers_the_true_area() -> None:
    """Two normals a distance 1 apart have an area of Phi(1 / sqrt 2)."""
    rng, true = np.random.default_rng(5), stats.norm.cdf(2**-0.5)
    covered = 0
    for _ in range(300):
        low, high = privacy._attack(rng.normal(1, 1, 80), rng.normal(0, 1, 80)).area_interval()
        covered += low <= true <= high
    assert 0.91 <= covered / 300 <= 0.99


@pytest.mark.parametrize(("hits", "trials"), [(0, 50), (1, 50), (25, 50), (50, 50), (3, 359)])
def test_the_interval_of_a_proportion_is_exact(hits: int, trials: int) -> None:
    exact = stats.binomtest(hits, trials).proportion_ci(0.95, "exact")
    assert privacy.clopper_pearson(hits, trials) == pytest.approx((exact.low, exact.high))


def test_at_most_one_stranger_in_a_hundred_passes() -> None:
    rng = np.random.default_rng(3)
    for strangers in (40, 100, 359):
        outside = rng.normal(0, 1, strangers)
        found = privacy._attack(rng.normal(3, 1, 200), outside)
        threshold = np.sort(found.outside)[::-1][int(0.01 * strangers)]
        assert (outside > threshold).mean() <= 0.01 and found.hits == (found.inside > threshold).sum()
