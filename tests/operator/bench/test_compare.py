"""A mind's answers against baselines, by the judge's own statistics: paired, signed as the answer less the baseline."""

from collections.abc import Mapping

import pytest

from fedwright_crds.candidate import Candidate, CandidateSpec, Origin
from fedwright_crds.documents import Score
from fedwright_crds.meta import Metadata, Spent
from fedwright_crds.request import RequestPhase, RequestStatus
from fedwright_crds.transcript import Charge
from fedwright_operator.bench.compare import against
from fedwright_operator.bench.entries import Entry
from fedwright_operator.bench.findings import Run
from fedwright_operator.bench.minds import of_profile
from fedwright_operator.bench.standing import HEAD, Standing
from fedwright_operator.bench.tasks import tasks_called

(TASK,) = tasks_called(["quantity-skew"])
MIND = of_profile("catalogue")
METHODS = ("fedavg", "fedprox", "fednova")


def scores(mean: float, spread: float = 0.01) -> tuple[Score, ...]:
    values = [mean + spread * (n % 5 - 2) for n in range(10)]
    return tuple(Score(ok=True, metrics={"Accuracy/Global": value}) for value in values)


def candidate(request: str, method: str) -> Candidate:
    spec = CandidateSpec(
        request=request, origin=Origin.PLAN, generation=0, method=method, title=method.upper(), hypothesis="h"
    )
    return Candidate(metadata=Metadata(name=f"{request}-{method}"), spec=spec)


def run(who: object, seed: int, means: Mapping[str, float], phase: RequestPhase = RequestPhase.SUCCEEDED) -> Run:
    """A run whose winner is its last method, and that scored so."""
    entry = Entry(TASK, who, seed)  # type: ignore[arg-type]
    winner = f"{entry.name}-{[*means][-1]}" if phase is RequestPhase.SUCCEEDED else ""
    status = RequestStatus(phase=phase, winner=winner, spent=Spent(box_seconds=20.0))
    return Run(
        entry=entry,
        request=entry.request.model_copy(update={"status": status}),
        candidates={f"{entry.name}-{method}": candidate(entry.name, method) for method in means},
        scores={
            f"{entry.name}-{method}": scores(mean, 0.01 * (n + 1)) for n, (method, mean) in enumerate(means.items())
        },
        charged=Charge(tokens=100 * (seed + 1), nano_usd=10**6, calls=2),
        seconds=10.0,
    )


def rows(*own: Run, prox: float = 0.8, nova: float = 0.88) -> list[tuple[Run, Mapping[str, Run]]]:
    return [
        (
            one,
            {
                "fedavg": one,
                "fedprox": run("fedprox", one.entry.seed, {"fedavg": 0.7, "fedprox": prox}),
                "fednova": run("fednova", one.entry.seed, {"fedavg": 0.7, "fednova": nova}),
            },
        )
        for one in own
    ]


def test_a_single_run_is_compared_over_its_fresh_seeds() -> None:
    found = against(rows(run(MIND, 0, {"fedavg": 0.7, "scaffold": 0.9})), METHODS)
    assert list(found) == list(METHODS)
    assert found["fedprox"].difference == pytest.approx(0.1) and found["fednova"].difference == pytest.approx(0.02)
    assert found["fedavg"].answer == pytest.approx(0.9) and found["fedavg"].baseline == pytest.approx(0.7)
    assert found["fedavg"].low < found["fedavg"].difference < found["fedavg"].high
    assert (found["fedavg"].runs, found["fedavg"].pairs) == (1, 10)


def test_several_runs_count_one_each() -> None:
    runs = [run(MIND, seed, {"fedavg": 0.7, "scaffold": 0.9 + 0.01 * seed}) for seed in range(3)]
    found = against(rows(*runs), METHODS)
    assert (found["fedprox"].runs, found["fedprox"].pairs) == (3, 3)
    assert found["fedprox"].difference == pytest.approx(0.11)


def test_without_a_winner_the_answer_is_fedavg_and_ties_with_itself() -> None:
    one = run(MIND, 0, {"fedavg": 0.7, "scaffold": 0.71}, RequestPhase.NO_IMPROVEMENT)
    found = against(rows(one), METHODS)["fedavg"]
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert "-0" not in f"{found.difference} {found.low} {found.high}"


def test_a_run_that_failed_is_no_figure_and_counts_as_no_success() -> None:
    good = run(MIND, 0, {"fedavg": 0.7, "scaffold": 0.9})
    bad = run(MIND, 1, {"fedavg": 0.7, "scaffold": 0.9}, RequestPhase.FAILED)
    found = against(rows(good, bad), METHODS)
    assert found["fedavg"].runs == 1
    document = Standing(TASK, "catalogue", 2, [good, bad], found).document()
    assert (document["answered"], document["ended"], document["successRate"]) == (1, 2, 0.5)
    assert against(rows(bad), METHODS) == {}


def test_a_baseline_that_was_not_judged_leaves_no_figure() -> None:
    one = run(MIND, 0, {"fedavg": 0.7, "scaffold": 0.9})
    assert against([(one, {"fedavg": one})], METHODS) == {}
    assert against([], METHODS) == {}


def test_a_standing_is_a_row_for_each_baseline_and_costs_are_means_of_a_run() -> None:
    runs = [run(MIND, seed, {"fedavg": 0.7, "scaffold": 0.9}) for seed in range(2)]
    standing = Standing(TASK, "catalogue", 3, runs, against(rows(*runs), METHODS))
    assert standing.costs == {"tokens": 150, "moneyUsd": 0.001, "seconds": 10.0, "boxSeconds": 20.0}
    found = standing.rows()
    assert [len(row) for row in found] == [len(HEAD)] * 3
    assert found[0][:6] == ("quantity-skew", "catalogue", "2/2 of 3", "2", "90.0%", "fedavg")
    assert [row[5] for row in found] == ["fedavg", "fedprox", "fednova*"]
    assert found[1][6] == "+10.0" and found[1][:5] == ("",) * 5


def test_a_standing_with_nothing_ended_is_told_all_the_same() -> None:
    standing = Standing(TASK, "catalogue", 3, [], {})
    assert standing.rows()[0][2:5] == ("0/0 of 3", "0", "-")
    assert standing.document()["successRate"] is None
