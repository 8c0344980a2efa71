"""The last line: who won, by how much over whom, on how many fresh seeds, how sure; and nothing that is not so."""

import pytest

from fedwright_crds.candidate import Candidate, CandidateSpec, CandidateStatus, Origin, Part
from fedwright_crds.documents import Comparison, Decision
from fedwright_crds.meta import Condition, Metadata, Spent, Truth
from fedwright_crds.request import FLStrategyRequest, RequestPhase, RequestSpec, RequestStatus
from fedwright_crds.task import Data, DataSource, Task
from fedwright_operator import verdict

CODE = "sha256:" + "a" * 64


def compared(
    candidate: str, reference: str = "fedavg", metric: str = "Accuracy/Global", **changes: object
) -> Comparison:
    figures: dict[str, object] = {
        "candidate": candidate,
        "reference": reference,
        "metric": metric,
        "candidate_value": 0.912,
        "reference_value": 0.874,
        "difference": 0.038,
        "low": 0.03,
        "high": 0.046,
        "level": 0.95,
        "p": 0.0002,
        "p_sign_flip": 0.001,
        "fresh_seeds": 10,
        "holds": True,
        **changes,
    }
    return Comparison.model_validate(figures)


def candidate(name: str, title: str) -> Candidate:
    spec = CandidateSpec(
        request="wish",
        origin=Origin.PLAN,
        method="scaffold",
        title=title,
        hypothesis="",
        parts=(Part(slot="codec", name="quantised"),),
    )
    return Candidate(metadata=Metadata(name=name), spec=spec, status=CandidateStatus(code=CODE, best={"lr": 0.1}))


CANDIDATES = (candidate("fedavg", "FedAvg"), candidate("c1", "SCAFFOLD, quantised"), candidate("yogi", "FedYogi"))


def wish(phase: RequestPhase, *conditions: Condition) -> FLStrategyRequest:
    status = RequestStatus(phase=phase, conditions=conditions, spent=Spent(works=7))
    spec = RequestSpec(goal="well", task=Task(data=Data(source=DataSource.DIGITS)))
    return FLStrategyRequest(metadata=Metadata(name="wish"), spec=spec, status=status)


def won(**changes: object) -> Decision:
    fields: dict[str, object] = {
        "winner": "c1",
        "reason": "superior",
        "baseline": "fedavg",
        "best_catalogue": "yogi",
        "objective": (compared("c1"), compared("yogi", p=0.2, holds=False)),
        "against_catalogue": compared("c1", "yogi", difference=0.011, low=0.002, high=0.02, p=0.01),
        **changes,
    }
    return Decision.model_validate(fields)


def test_a_winner_over_fedavg_and_over_the_best_catalogue_method() -> None:
    assert verdict.last_line(wish(RequestPhase.SUCCEEDED), won(), CANDIDATES) == (
        "SCAFFOLD, quantised (c1) won: 91.2% accuracy against 87.4% for tuned FedAvg "
        "(+3.8 points, 95% interval +3.0 to +4.6), and +1.1 points over the best catalogue method FedYogi (yogi) "
        "(95% interval +0.2 to +2.0); on 10 fresh seeds, p = 0.0002 (paired t test)."
    )


def test_a_lead_over_the_catalogue_that_is_not_proven_says_so() -> None:
    against = compared("c1", "yogi", difference=0.001, low=-0.01, high=0.012, p=0.4, holds=False)
    line = verdict.last_line(wish(RequestPhase.SUCCEEDED), won(against_catalogue=against), CANDIDATES)
    assert "over the best catalogue method FedYogi (yogi) (95% interval -1.0 to +1.2), which is not proven" in line


def test_a_winner_that_does_just_what_the_best_catalogue_method_does_is_not_praised_for_it() -> None:
    against = compared("c1", "yogi", difference=0.0, low=0.0, high=0.0, p=1.0, holds=False)
    line = verdict.last_line(wish(RequestPhase.SUCCEEDED), won(against_catalogue=against), CANDIDATES)
    assert ", and just the same as the best catalogue method FedYogi (yogi); on 10 fresh seeds" in line


def test_a_winner_from_the_catalogue_is_not_compared_with_itself() -> None:
    decision = won(best_catalogue="c1", against_catalogue=None)
    line = verdict.last_line(wish(RequestPhase.SUCCEEDED), decision, CANDIDATES)
    assert "; it is the best catalogue method itself; on 10 fresh seeds" in line


def test_bytes_are_said_in_their_unit_and_constraints_are_named() -> None:
    values = {"candidate_value": 1.25, "reference_value": 10.0, "difference": -8.75, "low": -8.75, "high": -8.75}
    fewer = compared("c1", metric="UploadMebibytes/Global", **values)
    kept = compared("c1", metric="Accuracy/Global", margin=0.01)
    decision = won(objective=(fewer,), against_catalogue=None, best_catalogue=None, constraints=(kept,))
    line = verdict.last_line(wish(RequestPhase.SUCCEEDED), decision, CANDIDATES)
    assert line.startswith("SCAFFOLD, quantised (c1) won: 1.25 MiB uploaded against 10 for tuned FedAvg (-8.75, ")
    assert "; 91.2% accuracy is within its margin; on 10 fresh seeds" in line


def test_no_improvement_names_the_closest_with_its_figures() -> None:
    decision = won(
        winner=None,
        reason="not superior at level 0.05",
        objective=(compared("c1", p=0.3, holds=False), compared("yogi", p=0.2, holds=False)),
        against_catalogue=None,
    )
    line = verdict.last_line(wish(RequestPhase.NO_IMPROVEMENT), decision, CANDIDATES)
    assert line.startswith("No strategy is proven better than tuned FedAvg. The closest, FedYogi (yogi), came to 91.2%")
    assert line.endswith("on 10 fresh seeds, p = 0.2 (paired t test): not superior at level 0.05")


def test_a_failure_says_its_reason() -> None:
    end = Condition(
        type="Finished", status=Truth.TRUE, reason="WorkFailed", message="inspect: it raised", last_transition_time=""
    )
    assert (
        verdict.last_line(wish(RequestPhase.FAILED, end), None, ()) == "wish is Failed: WorkFailed: inspect: it raised"
    )


@pytest.mark.parametrize("decision", [won(), won(winner=None), None])
def test_the_document_has_every_key_whatever_the_answer(decision: Decision | None) -> None:
    phase = RequestPhase.FAILED if decision is None else RequestPhase.SUCCEEDED
    document = verdict.document(
        wish(phase), decision, CANDIDATES, charged={}, judged_on="digits", seconds=12.34, peak_memory_mib=512.06
    )
    assert {
        "winner", "baseline", "bestCatalogue", "primary", "constraints", "judgedOn", "spent", "seconds", "peakMemoryMiB", "verdict"
    } <= document.keys()  # fmt: skip
    assert (document["seconds"], document["peakMemoryMiB"], document["spent"]["works"]) == (12.3, 512.1, 7)


def test_the_document_names_the_winner_by_candidate_digest_and_parts() -> None:
    document = verdict.document(
        wish(RequestPhase.SUCCEEDED), won(), CANDIDATES, charged={}, judged_on="digits", seconds=1, peak_memory_mib=1
    )
    winner, primary = document["winner"], document["primary"]
    assert (winner["candidate"], winner["digest"]) == ("c1", CODE)
    assert winner["parts"] == [{"slot": "codec", "name": "quantised", "reason": ""}]
    assert (primary["metric"], primary["winner"], primary["baseline"], primary["freshSeeds"]) == (
        "Accuracy/Global",
        0.912,
        0.874,
        10,
    )
    assert (primary["low"], primary["high"], primary["level"], primary["p"]) == (0.03, 0.046, 0.95, 0.0002)
