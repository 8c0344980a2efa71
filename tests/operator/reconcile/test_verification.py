"""When a run with a process per client contradicts the one with all clients in one process."""

from hypothesis import given
from hypothesis import strategies as st

from fedwright_crds.documents import Score
from fedwright_crds.work import MIB, Outcome, Reason, Verdict, WorkResult
from fedwright_operator.reconcile.verification import disagreement, drawn, undeclared

MEASURED = {"Accuracy/Global": 0.9, "Loss/Global": 0.4, "UploadMebibytes/Global": 2.0, "LocalSteps/Global": 800.0}


def score(**metrics: float) -> Score:
    return Score(ok=True, metrics={**MEASURED, **{name.replace("_", "/"): value for name, value in metrics.items()}})


def fleet(up: int, down: int) -> WorkResult:
    verdict = Verdict(step="fleet", reason=Reason.COMPLETED, bytes_up=up, bytes_down=down)
    return WorkResult(id="0" * 40, kind="verify", outcome=Outcome.SUCCEEDED, verdicts=(verdict,))


def test_rounding_is_no_contradiction() -> None:
    assert disagreement(score(), score(Accuracy_Global=0.88, LocalSteps_Global=801.0, Loss_Global=2.0)) == ""


def test_a_better_result_in_one_process_is() -> None:
    assert "was 0.9" in disagreement(score(), score(Accuracy_Global=0.8))


def test_other_claims_of_the_cost_are() -> None:
    assert "UploadMebibytes" in disagreement(score(UploadMebibytes_Global=0.1), score())
    assert "LocalSteps" in disagreement(score(LocalSteps_Global=1.0), score())


def test_figures_of_one_run_alone_are_not_compared() -> None:
    assert disagreement(score(RoundsToTarget_Global=8.0, MembershipAuc_Global=0.5), score()) == ""


def test_bytes_that_nobody_declared_are_found() -> None:
    declared = score(UploadMebibytes_Global=1.0, DownloadMebibytes_Global=1.0)
    assert undeclared(declared, fleet(MIB, MIB), room=0) == ""
    assert undeclared(declared, fleet(MIB + 1000, MIB), room=1000) == ""
    assert "UploadMebibytes is declared as 1" in undeclared(declared, fleet(2 * MIB, MIB), room=1000)
    assert "DownloadMebibytes" in undeclared(declared, fleet(MIB, 3 * MIB), room=1000)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=20))
def test_the_seed_that_is_checked_depends_on_every_result(digests: list[str]) -> None:
    assert 0 <= drawn(tuple(digests)) < len(digests)
    assert drawn(tuple(digests)) == drawn(tuple(digests))


def test_every_seed_may_be_the_one() -> None:
    assert {drawn(tuple(f"{last}{n}" for n in range(10))) for last in range(200)} == set(range(10))
