"""The planner: what it asks, what it matches, what it composes."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from fedwright_agents.catalogue_mind.ideas import key
from fedwright_agents.catalogue_mind.plan import choose_model, plan
from fedwright_crds.documents import DataFacts, Plan, PlanInput
from fedwright_crds.request import (
    Answer,
    Constraint,
    Objective,
    Privacy,
    PrivacyUnit,
    RequestSpec,
    Search,
    SeedCandidate,
)
from fedwright_crds.task import Architecture, FeatureShift, Metric, ModelSpec, Scope
from fedwright_federation.catalogue import catalogue, compose

EXAMPLES = Path(__file__).parents[2] / "examples"


def planned(spec: RequestSpec, facts: DataFacts, *answers: tuple[str, str]) -> Plan:
    given = tuple(Answer(question=question, answer=answer) for question, answer in answers)
    output = plan(PlanInput(request="r", spec=spec, facts=facts, answers=given))
    assert output.plan is not None, output.questions
    return output.plan


def asked(spec: RequestSpec, facts: DataFacts) -> list[str]:
    output = plan(PlanInput(request="r", spec=spec, facts=facts))
    assert (output.plan is None) == bool(output.questions)
    return [question.id for question in output.questions]


def change(spec: RequestSpec, **fields: object) -> RequestSpec:
    return spec.model_copy(update=fields)


# -- matching ---------------------------------------------------------------------------------------------------------
def test_label_skew_calls_for_drift_correction(spec: RequestSpec, facts: DataFacts) -> None:
    found = planned(spec, facts)
    assert [one.method for one in found.baselines] == ["fedavg", "scaffold", "feddyn", "fedadam"]
    assert len(found.candidates) == spec.search.plan_candidates
    assert any("Karimireddy" in source for source in found.sources)


def test_feature_shift_calls_for_private_norms_and_a_model_that_has_them(spec: RequestSpec, facts: DataFacts) -> None:
    shifted = spec.task.model_copy(update={"feature_shift": FeatureShift()})
    found = planned(
        change(spec, model=None, task=shifted, objective=Objective(scope=Scope.PER_CLIENT)),
        facts.model_copy(update={"label_skew": 0.05, "feature_shift": 1.3}),
    )
    assert found.model.batch_norm
    assert found.baselines[1].method == "fedbn"


def test_bytes_call_for_a_codec_and_never_for_double_traffic(spec: RequestSpec, facts: DataFacts) -> None:
    margin = (Constraint(metric=Metric.ACCURACY, margin=0.02),)
    found = planned(change(spec, objective=Objective(metric=Metric.UPLOAD_MEBIBYTES), constraints=margin), facts)
    assert found.baselines[1].method == "fedpaq"
    for one in found.candidates:
        composition = compose(catalogue(), catalogue().method(one.method).parts, [part.name for part in one.parts])
        assert not {"ControlVariate", "SendSynthetic"} & set(composition.parts)


@pytest.mark.parametrize(("margin", "finest"), [(0.05, 1), (0.02, 3), (0.005, 7)])
def test_a_codec_too_coarse_for_the_margin_is_not_searched(
    spec: RequestSpec, facts: DataFacts, margin: float, finest: float
) -> None:
    held = (Constraint(metric=Metric.ACCURACY, margin=margin),)
    found = planned(change(spec, objective=Objective(metric=Metric.UPLOAD_MEBIBYTES), constraints=held), facts)
    (levels,) = (one for one in found.baselines[1].hyperparameters if one.name == "levels")
    assert levels.default == min(levels.grid) == finest


def test_differential_privacy_rules_out_what_sends_more_than_updates(spec: RequestSpec, facts: DataFacts) -> None:
    found = planned(change(spec, privacy=Privacy(epsilon=8, delta=1e-3)), facts)
    for one in (*found.baselines, *found.candidates):
        parts = [*catalogue().method(one.method).parts, *(part.name for part in one.parts)]
        assert compose(catalogue(), parts).legal(found.model, "Client")
    assert "scaffold" not in {one.method for one in found.baselines}


@pytest.mark.parametrize(
    ("shape", "classes", "expected"),
    [((30,), 2, Architecture.SOFTMAX), ((8, 8), 10, Architecture.MLP), ((60,), 10, Architecture.MLP)],
)
def test_the_model_is_chosen_by_the_datas_size(
    spec: RequestSpec, facts: DataFacts, shape: tuple[int, ...], classes: int, expected: Architecture
) -> None:
    sized = facts.model_copy(update={"input_shape": shape, "classes": classes})
    assert choose_model(spec, sized).architecture is expected


def test_private_examples_get_no_batch_norm_where_inputs_differ(spec: RequestSpec, facts: DataFacts) -> None:
    shifted = facts.model_copy(update={"feature_shift": 2.0})
    private = change(spec, model=None, privacy=Privacy(unit=PrivacyUnit.EXAMPLE, epsilon=8, delta=1e-3))
    assert planned(change(spec, model=None), shifted).model.batch_norm
    assert not planned(private, shifted).model.batch_norm


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_example_is_planned_without_a_question(file: Path, facts: DataFacts) -> None:
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    example = RequestSpec.model_validate_json(json.dumps(document["spec"]))
    found = planned(example, facts)
    assert found.baselines[0].method == "fedavg"
    assert len(found.baselines) == 1 + example.search.catalogue_methods
    assert len(found.candidates) == len(example.search.candidates) + example.search.plan_candidates


# -- candidates -------------------------------------------------------------------------------------------------------
def test_no_two_of_a_plan_are_the_same(spec: RequestSpec, facts: DataFacts) -> None:
    found = planned(change(spec, search=Search(catalogue_methods=8, plan_candidates=16)), facts)
    keys = [
        key(catalogue(), one.method, one.parts, one.fixed, one.salt) for one in (*found.baselines, *found.candidates)
    ]
    assert len(set(keys)) == len(keys) == 25


def test_all_that_is_compared_is_tuned_over_one_grid_of_step_sizes(spec: RequestSpec, facts: DataFacts) -> None:
    found = planned(spec, facts)
    grids = {one.hyperparameters[0].grid for one in (*found.baselines, *found.candidates)}
    assert grids == {(0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)}


def test_the_requests_own_candidates_keep_their_values_and_salt(spec: RequestSpec, facts: DataFacts) -> None:
    named = (
        SeedCandidate(name="slow", method="FedProx", hyperparameters={"mu": 0.5}, salt=7),
        SeedCandidate(name="heavy", method="fedavg", hyperparameters={"momentum": 0.9}),
    )
    first, second = planned(change(spec, search=Search(candidates=named, plan_candidates=0)), facts).candidates
    assert (first.method, first.fixed, first.salt, first.title) == ("fedprox", {"mu": 0.5}, 7, "slow")
    assert [one.name for one in first.hyperparameters] == ["lr"]
    assert second.fixed == {"momentum": 0.9}


def test_a_plan_says_what_it_costs(spec: RequestSpec, facts: DataFacts) -> None:
    """6 of them, and 2 of the reflector's: 6 trials of 10 rounds, 2 x 2 runs of 40; then 4 x 10 runs of 40."""
    assert planned(spec, facts).estimated_rounds == (6 + 2) * (6 * 10 + 2 * 2 * 40) + 4 * 10 * 40


def test_equal_input_gives_an_equal_plan(spec: RequestSpec, facts: DataFacts) -> None:
    assert planned(spec, facts) == planned(spec, facts)


def test_criteria_are_the_committees_and_the_requests_own(spec: RequestSpec, facts: DataFacts) -> None:
    review = spec.review.model_copy(update={"criteria": ("easy to explain",)})
    criteria = planned(change(spec, review=review), facts).criteria
    assert criteria == ("novelty", "correctness", "testability", "easy to explain")


# -- questions --------------------------------------------------------------------------------------------------------
def test_a_goal_that_speaks_of_privacy_without_the_field_is_asked_about(spec: RequestSpec, facts: DataFacts) -> None:
    wish = change(spec, goal="Accurate, and nothing may leak.")
    assert asked(wish, facts) == ["privacy"]
    assert asked(change(wish, privacy=Privacy(epsilon=8, delta=1e-3)), facts) == []
    strict = planned(wish, facts, ("privacy", "nothing beside the model's update"))
    assert "scaffold" not in {one.method for one in strict.baselines}
    free = planned(wish, facts, ("privacy", "any update that a method needs"))
    assert "scaffold" in {one.method for one in free.baselines}


def test_own_models_under_a_global_objective_are_asked_about(spec: RequestSpec, facts: DataFacts) -> None:
    wish = change(spec, goal="A personalised classifier for each site.")
    assert asked(wish, facts) == ["global-model"]
    assert asked(change(wish, objective=Objective(scope=Scope.PER_CLIENT)), facts) == []


def test_one_model_under_a_personal_objective_is_asked_about(spec: RequestSpec, facts: DataFacts) -> None:
    wish = change(spec, goal="One model that is good everywhere.", objective=Objective(scope=Scope.PER_CLIENT))
    assert asked(wish, facts) == ["personal-models"]
    strict = planned(wish, facts, ("personal-models", "2"))
    assert not {"fedrep", "fedper", "fedbn"} & {one.method for one in strict.baselines}


def test_a_candidate_that_cannot_be_is_named_with_the_choices_and_may_be_left_out(
    spec: RequestSpec, facts: DataFacts
) -> None:
    named = (
        SeedCandidate(name="typo", method="fedprx"),
        SeedCandidate(name="odd", method="fedavg", hyperparameters={"mu": 1.0}),
    )
    wish = change(spec, search=Search(candidates=named))
    output = plan(PlanInput(request="r", spec=wish, facts=facts))
    typo, odd = output.questions
    assert "no method 'fedprx'; it has" in typo.text
    assert "mu reaches no part; there are lr" in odd.text
    found = planned(wish, facts, (typo.id, typo.default), (odd.id, odd.default))
    assert not {"typo", "odd"} & {one.title for one in found.candidates}
    assert "Candidate typo was left out" in found.summary


def test_minds_need_no_torch() -> None:
    import subprocess

    roles = ", ".join(
        f"fedwright_agents.catalogue_mind.{role}" for role in "plan code debug reflect review tune".split()
    )
    script = f"import sys, {roles}; sys.exit(bool(sys.modules.keys() & {{'torch', 'optuna', 'litellm'}}))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_models_name_is_the_requests_where_it_has_one(spec: RequestSpec, facts: DataFacts) -> None:
    assert planned(change(spec, model=ModelSpec(hidden=(64, 32))), facts).model.hidden == (64, 32)
