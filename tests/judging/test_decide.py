"""Who wins: superior in the objective on fresh seeds, within every margin, or nobody."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from fedwright_crds.documents import DecideInput, Decision, Finalist, Score
from fedwright_crds.request import Constraint, Objective
from fedwright_crds.task import Metric
from fedwright_federation.judging.decide import decide, main

RNG = np.random.default_rng(11)
SEEDS = RNG.normal(0.0, 0.02, 10)


def finalist(
    name: str, values: Mapping[str, Sequence[float] | float], role: str = "Finalist", **fields: object
) -> Finalist:
    columns = {metric: np.broadcast_to(np.asarray(value, dtype=float), 10) for metric, value in values.items()}
    scores = tuple(
        Score(ok=True, metrics={f"{metric}/Global": float(column[seed]) for metric, column in columns.items()})
        for seed in range(10)
    )
    made = {"candidate": name, "title": name, "role": role, "hyperparameters": {}, "scores": scores, "federated": True}
    return Finalist.model_validate({**made, **fields})


def given(
    *finalists: Finalist, objective: Metric = Metric.ACCURACY, constraints: Sequence[Constraint] = ()
) -> DecideInput:
    asked = Objective(metric=objective)
    return DecideInput(objective=asked, constraints=tuple(constraints), level=0.05, finalists=finalists)


def noisy(mean: float, own: float = 0.005) -> np.ndarray:
    return mean + SEEDS + RNG.normal(0, own, 10)


BASELINE = finalist("fedavg", {"Accuracy": noisy(0.90), "UploadMebibytes": 8.0}, "Baseline")


def test_the_better_of_two_superior_finalists_wins() -> None:
    decision = decide(
        given(
            BASELINE,
            finalist("good", {"Accuracy": noisy(0.93)}),
            finalist("best", {"Accuracy": noisy(0.95)}),
            finalist("scaffold", {"Accuracy": noisy(0.94)}, "BestCatalogue"),
        )
    )
    assert decision.winner == "best" and decision.best_catalogue == "scaffold"
    assert all(one.holds and one.low > 0 for one in decision.objective)
    assert decision.objective[1].difference == pytest.approx(0.05, abs=0.01)
    assert decision.against_catalogue is not None and decision.against_catalogue.difference > 0


def test_equal_copies_never_win() -> None:
    same = [float(score.metrics["Accuracy/Global"]) for score in BASELINE.scores]
    decision = decide(given(BASELINE, finalist("copy", {"Accuracy": same}), finalist("twin", {"Accuracy": same})))
    assert decision.winner is None
    assert [one.p for one in decision.objective] == [1.0, 1.0]
    assert "not proven superior in Accuracy/Global" in decision.reason


def test_a_better_one_outside_a_margin_gives_way_to_a_good_one_within() -> None:
    cheap = Constraint(metric=Metric.UPLOAD_MEBIBYTES, margin=0.5)
    decision = decide(
        given(
            BASELINE,
            finalist("greedy", {"Accuracy": noisy(0.97), "UploadMebibytes": 16.0}),
            finalist("frugal", {"Accuracy": noisy(0.94), "UploadMebibytes": 8.2}),
            constraints=[cheap],
        )
    )
    assert decision.winner == "frugal"
    assert {one.candidate: one.holds for one in decision.constraints} == {"greedy": False, "frugal": True}


def test_fewer_bytes_win_where_accuracy_is_not_inferior() -> None:
    accurate = Constraint(metric=Metric.ACCURACY, margin=0.02)
    codec = finalist("fedpaq", {"Accuracy": noisy(0.895), "UploadMebibytes": 0.5})
    decision = decide(given(BASELINE, codec, objective=Metric.UPLOAD_MEBIBYTES, constraints=[accurate]))
    assert decision.winner == "fedpaq"
    (objective,), (constraint,) = decision.objective, decision.constraints
    assert objective.difference == objective.low == objective.high == -7.5 and objective.p == 2 * 2.0**-10
    assert constraint.margin == 0.02 and constraint.holds and constraint.low < 0
    strict = accurate.model_copy(update={"margin": 0.0})
    broken = decide(given(BASELINE, codec, objective=Metric.UPLOAD_MEBIBYTES, constraints=[strict]))
    assert broken.winner is None and "margin in Accuracy/Global" in broken.reason


def test_two_finalists_are_corrected_for() -> None:
    d = np.array([3, -1, 2, 0.5, 2, -0.4, 1, 1, 0.2, -0.9]) / 100
    base = [float(score.metrics["Accuracy/Global"]) for score in BASELINE.scores]
    near = finalist("near", {"Accuracy": np.array(base) + d})
    dud = finalist("dud", {"Accuracy": np.array(base) - d})
    alone, together = decide(given(BASELINE, near)), decide(given(BASELINE, near, dud))
    assert together.objective[0].p == pytest.approx(min(1, 2 * alone.objective[0].p))


def test_two_finalists_at_the_edge_of_a_margin_seldom_pass_it() -> None:
    """Both are as much worse as the margin allows: one of the two is let through in a twentieth of the cases at most."""
    rng, margin, repeats = np.random.default_rng(5), Constraint(metric=Metric.ACCURACY, margin=0.03), 600
    passed = 0
    for _ in range(repeats):
        base = 0.9 + rng.normal(0, 0.01, 10)
        edge = [base - 0.03 + rng.normal(0, 0.02, 10) for _ in range(2)]
        rivals = [finalist(f"c{n}", {"Accuracy": one, "UploadMebibytes": 1.0}) for n, one in enumerate(edge)]
        fedavg = finalist("fedavg", {"Accuracy": base, "UploadMebibytes": 8.0}, "Baseline")
        decision = decide(given(fedavg, *rivals, objective=Metric.UPLOAD_MEBIBYTES, constraints=[margin]))
        passed += decision.winner is not None
    assert 0.02 < passed / repeats < 0.07


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"federated": False}, "is not shown to be federated"),
        ({"federated": None}, "is not shown to be federated"),
        ({"scores": BASELINE.scores[:9]}, "9 fresh seeds"),
        ({"scores": (Score(ok=False, reason="model diverged"), *BASELINE.scores[1:])}, "model diverged"),
        ({"scores": (Score(ok=True, metrics={}), *BASELINE.scores[1:])}, "was not measured"),
    ],
)
def test_a_faulty_finalist_cannot_win_and_its_fault_is_named(fields: dict[str, object], says: str) -> None:
    star = finalist("star", {"Accuracy": noisy(0.99)}).model_copy(update=fields)
    decision = decide(given(BASELINE, star))
    assert decision.winner is None and says in decision.reason and decision.objective == ()
    other = decide(given(BASELINE, star, finalist("sound", {"Accuracy": noisy(0.95)})))
    assert other.winner == "sound"


def test_low_leakage_of_a_constant_answer_does_not_count() -> None:
    leaky = finalist("fedavg", {"MembershipAuc": RNG.normal(0.7, 0.01, 10)}, "Baseline")
    mute = finalist("mute", {"MembershipAuc": 0.5})
    constant = tuple(score.model_copy(update={"constant": True}) for score in mute.scores)
    decision = decide(given(leaky, mute.model_copy(update={"scores": constant}), objective=Metric.MEMBERSHIP_AUC))
    assert decision.winner is None and "same answer" in decision.reason
    assert decide(given(leaky, mute, objective=Metric.MEMBERSHIP_AUC)).winner == "mute"


def test_the_program_reads_and_writes_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDWRIGHT_BOX", str(tmp_path))
    (tmp_path / "in").mkdir()
    document = given(BASELINE, finalist("best", {"Accuracy": noisy(0.95)}))
    (tmp_path / "in" / "decide.json").write_text(json.dumps(document.to_wire()))
    assert main([]) == 0
    decision = Decision.model_validate_json((tmp_path / "out" / "decision.json").read_bytes())
    assert decision.winner == "best" and decision.baseline == "fedavg"
