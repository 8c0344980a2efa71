"""The reflector: variants that follow from the outcomes, none of them tried before; and the reviewers who grade them."""

import pytest

from fedwright_agents.catalogue_mind.evidence import gather
from fedwright_agents.catalogue_mind.ideas import composition_of, key
from fedwright_agents.catalogue_mind.plan import plan
from fedwright_agents.catalogue_mind.reflect import reflect
from fedwright_agents.catalogue_mind.review import review
from fedwright_crds.candidate import Origin, Part
from fedwright_crds.committee import agreement, top_k
from fedwright_crds.documents import (
    CandidateOutcome,
    DataFacts,
    Idea,
    Plan,
    PlanInput,
    ReflectInput,
    ReflectOutput,
    ReviewInput,
)
from fedwright_crds.request import Constraint, Objective, RequestSpec
from fedwright_crds.task import Metric, ModelSpec
from fedwright_federation.catalogue import catalogue

KNOWN = catalogue()


@pytest.fixture
def planned(spec: RequestSpec, facts: DataFacts) -> Plan:
    found = plan(PlanInput(request="r", spec=spec, facts=facts)).plan
    assert found is not None
    return found


def outcome(one: Idea, score: float | None, **fields: object) -> CandidateOutcome:
    """What became of an idea; a baseline where it has no parts of its own."""
    name = f"r-{one.method}-{'-'.join(part.name.lower() for part in one.parts)}".rstrip("-")
    origin = Origin.PLAN if one.parts else Origin.BASELINE
    usual: dict[str, object] = {"phase": "Scored" if score is not None else "Rejected", "best": {"lr": 0.1}}
    return CandidateOutcome(
        name=name,
        title=one.title,
        origin=origin,
        method=one.method,
        parts=one.parts,
        hyperparameters=one.hyperparameters,
        fixed=one.fixed,
        hypothesis=one.hypothesis,
        score=score,
        **{**usual, **fields},  # type: ignore[arg-type]
    )


def reflected(
    spec: RequestSpec, facts: DataFacts, planned: Plan, outcomes: tuple[CandidateOutcome, ...], wanted: int = 4
) -> ReflectOutput:
    order = ReflectInput(
        request="r", spec=spec, facts=facts, plan=planned, generation=1, proposals=wanted, outcomes=outcomes
    )
    assert reflect(order) == reflect(order)
    return reflect(order)


def all_scored(planned: Plan, **scores: float) -> tuple[CandidateOutcome, ...]:
    ideas = (*planned.baselines, *planned.candidates)
    return tuple(outcome(one, scores.get(one.method, 0.8) if not one.parts else 0.8) for one in ideas)


# -- proposals --------------------------------------------------------------------------------------------------------
def test_nothing_is_proposed_twice_over_the_generations(spec: RequestSpec, facts: DataFacts, planned: Plan) -> None:
    outcomes = all_scored(planned, scaffold=0.9)
    seen = {key(KNOWN, one.method, one.parts, one.fixed) for one in (*planned.baselines, *planned.candidates)}
    for _ in range(4):
        proposals = reflected(spec, facts, planned, outcomes).proposals
        keys = [key(KNOWN, one.method, one.parts, one.fixed) for one in proposals]
        assert len(keys) == len(set(keys)) == 4
        assert not seen & set(keys)
        seen |= set(keys)
        outcomes += tuple(outcome(one, 0.85) for one in proposals)


def test_every_proposal_is_legal_and_says_why(spec: RequestSpec, facts: DataFacts, planned: Plan) -> None:
    for one in reflected(spec, facts, planned, all_scored(planned), wanted=12).proposals:
        assert composition_of(KNOWN, one.method, one.parts).legal(planned.model)
        assert one.parts
        assert one.hypothesis
        assert "Accuracy/Global" in one.expected_effect
        assert one.hyperparameters[0].name == "lr"


def test_what_did_well_is_built_upon_and_named_as_the_parent(
    spec: RequestSpec, facts: DataFacts, planned: Plan
) -> None:
    good = reflected(spec, facts, planned, all_scored(planned, scaffold=0.95)).proposals
    bad = reflected(spec, facts, planned, all_scored(planned, scaffold=0.5)).proposals

    def corrected(proposals: tuple[Idea, ...]) -> int:
        return sum("control-variates" in composition_of(KNOWN, p.method, p.parts).features for p in proposals)

    assert corrected(good) > corrected(bad)
    assert any(one.parent is not None and one.parent.startswith("r-scaffold") for one in good)


def test_a_best_step_size_at_the_grids_end_calls_for_parts_that_change_the_step(
    spec: RequestSpec, facts: DataFacts, planned: Plan
) -> None:
    first, *rest = all_scored(planned)
    edge = first.model_copy(update={"best": {"lr": 3.0}})
    found = reflected(spec, facts, planned, (edge, *rest))
    assert "end of its grid" in found.critique
    assert {"MomentumServer", "AdamServer", "ServerStep", "MomentumSgd"} & {
        part.name for one in found.proposals for part in one.parts
    }


def test_bytes_as_the_objective_call_for_codecs(spec: RequestSpec, facts: DataFacts) -> None:
    margin = (Constraint(metric=Metric.ACCURACY, margin=0.02),)
    wish = spec.model_copy(update={"objective": Objective(metric=Metric.UPLOAD_MEBIBYTES), "constraints": margin})
    found = plan(PlanInput(request="r", spec=wish, facts=facts)).plan
    assert found is not None
    proposals = reflected(wish, facts, found, all_scored(found)).proposals
    sent = [composition_of(KNOWN, one.method, one.parts).of("upload") for one in proposals]
    assert sum(bool(one) for one in sent) >= 3


def test_the_critique_tells_the_best_the_broken_and_the_part_that_helped(
    spec: RequestSpec, facts: DataFacts, planned: Plan
) -> None:
    outcomes = all_scored(planned, scaffold=0.95, feddyn=0.7)
    broken = outcome(planned.candidates[0], None, reason="LossIsNaN")
    critique = reflected(spec, facts, planned, (*outcomes[:-2], broken)).critique
    assert critique.startswith("SCAFFOLD: 0.95")
    assert "did not run: LossIsNaN" in critique
    assert "least: Dynamic" in critique


def test_outcomes_that_the_catalogue_does_not_know_are_no_obstacle(
    spec: RequestSpec, facts: DataFacts, planned: Plan
) -> None:
    foreign = CandidateOutcome(
        name="foreign",
        title="Foreign",
        origin=Origin.PROPOSAL,
        method="somebodys",
        hypothesis="",
        phase="Scored",
        score=0.99,
    )
    found = reflected(spec, facts, planned, (*all_scored(planned), foreign))
    assert found.critique.startswith("Foreign: 0.99")
    assert len(found.proposals) == 4


def test_a_candidate_outside_a_constraint_speaks_against_its_parts(
    spec: RequestSpec, facts: DataFacts, planned: Plan
) -> None:
    wish = spec.model_copy(update={"constraints": (Constraint(metric=Metric.LOSS, margin=0.1),)})
    fedavg, scaffold, *_ = all_scored(planned, scaffold=0.95)
    far = scaffold.model_copy(update={"measures": {"Loss/Global": 2.0}})
    near = fedavg.model_copy(update={"measures": {"Loss/Global": 0.5}})
    evidence = gather(KNOWN, wish, (near, far))
    assert evidence.within == {near.name}
    assert evidence.parts["ControlVariate"] < 0


# -- reviewers --------------------------------------------------------------------------------------------------------
def graded(
    spec: RequestSpec, facts: DataFacts, planned: Plan, proposals: tuple[Idea, ...], reviewer: int, *criteria: str
) -> dict[tuple[int, str], float]:
    order = ReviewInput(
        spec=spec,
        facts=facts,
        criteria=criteria or planned.criteria,
        proposals=proposals,
        reviewer=reviewer,
        seed=0,
        outcomes=all_scored(planned, scaffold=0.9),
    )
    found = review(order)
    assert found == review(order)
    assert found.mode == "Rule"
    return {(one.proposal, one.dimension): one.score for one in found.grades}


def variant(method: str, *parts: str) -> Idea:
    added = tuple(Part(slot=KNOWN.part(name).slot, name=name) for name in parts)
    return Idea(title="t", method=method, parts=added, hypothesis="h")


def test_reviewers_grade_every_proposal_in_every_dimension_and_not_alike(
    spec: RequestSpec, facts: DataFacts, planned: Plan
) -> None:
    proposals = reflected(spec, facts, planned, all_scored(planned, scaffold=0.9)).proposals
    reviews = [graded(spec, facts, planned, proposals, reviewer) for reviewer in range(3)]
    assert all(len(one) == 4 * 3 for one in reviews)
    assert len({tuple(one.values()) for one in reviews}) == 3


def test_what_was_tried_is_not_new_and_what_is_new_is(spec: RequestSpec, facts: DataFacts, planned: Plan) -> None:
    tried, new = variant("scaffold"), variant("fednova", "Qsgd", "ProximalPull")
    for reviewer in range(3):
        grades = graded(spec, facts, planned, (tried, new), reviewer, "novelty")
        assert grades[0, "novelty"] == 0
        assert grades[1, "novelty"] > 0.5


def test_what_is_illegal_or_unknown_is_not_correct(spec: RequestSpec, facts: DataFacts, planned: Plan) -> None:
    illegal, unknown, fine = variant("scaffold", "WidthSlices"), variant("somebodys"), variant("scaffold", "Qsgd")
    grades = graded(spec, facts, planned, (illegal, unknown, fine), 0)
    assert grades[0, "correctness"] == 0
    assert grades[1, "correctness"] == 0
    assert (1, "novelty") not in grades
    assert grades[2, "correctness"] > 0.4


def test_fewer_parts_are_easier_to_test(spec: RequestSpec, facts: DataFacts, planned: Plan) -> None:
    plain, full = variant("fedavg", "Qsgd"), variant("scaffold", "Qsgd", "ProximalPull", "AdamServer")
    for reviewer in range(3):
        grades = graded(spec, facts, planned, (plain, full), reviewer)
        assert grades[0, "testability"] > grades[1, "testability"]


@pytest.mark.parametrize(
    ("criterion", "better", "worse"),
    [
        ("sends few bytes", variant("fedavg", "Qsgd"), variant("scaffold")),
        ("leaks little about single clients", variant("fedavg", "AdamServer"), variant("scaffold")),
        ("simple enough to explain", variant("fedprox"), variant("scaffold", "AdamServer")),
        ("does not need much computation", variant("fedavg"), variant("moon")),
        ("fair to each client", variant("fedrep"), variant("fedavg")),
        ("suits our hospital", variant("scaffold"), variant("fedns")),
    ],
)
def test_the_requests_own_criteria_are_read_by_their_words(
    criterion: str, better: Idea, worse: Idea, spec: RequestSpec, facts: DataFacts, planned: Plan
) -> None:
    wish = spec.model_copy(update={"model": ModelSpec(hidden=(16, 16))})
    for reviewer in range(3):
        grades = graded(wish, facts, planned, (better, worse), reviewer, criterion)
        assert grades[0, criterion] > grades[1, criterion]


def test_the_committee_lets_the_better_half_through(spec: RequestSpec, facts: DataFacts, planned: Plan) -> None:
    proposals = (
        variant("scaffold", "WidthSlices"),
        variant("feddyn", "Qsgd"),
        variant("scaffold"),
        variant("fedadam", "Qsgd"),
    )
    order = ReviewInput(
        spec=spec,
        facts=facts,
        criteria=planned.criteria,
        proposals=proposals,
        reviewer=0,
        seed=0,
        outcomes=all_scored(planned),
    )
    reviews = [review(order.model_copy(update={"reviewer": number})).grades for number in range(3)]
    assert set(top_k(reviews, 4, 2)) == {1, 3}
    assert agreement(reviews, 4) is not None
