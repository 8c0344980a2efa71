"""From words to the requests of a benchmark: which tasks, which minds, and what each run is."""

from pathlib import Path

import pytest

from fedwright_crds.manifests import dump_yaml
from fedwright_crds.request import Minds
from fedwright_operator.bench.entries import Entry, entries
from fedwright_operator.bench.minds import Mind, MindError, mixed, of_profile
from fedwright_operator.bench.tasks import Task, TaskError, shipped, tasks_called
from fedwright_operator.cli.bench import bench

CATALOGUE = of_profile("catalogue")


def task(name: str = "quantity-skew") -> Task:
    return tasks_called([name])[0]


# -- tasks ------------------------------------------------------------------------------------------------------------
def test_three_tasks_ship_each_with_its_specialist_and_help_names_them() -> None:
    found = {one.name: one.specialist for one in tasks_called([])}
    assert found == {"quantity-skew": "fednova", "feature-skew": "fedbn", "pathological-labels": "fedper"}
    assert all(name in (bench.__doc__ or "") for name in shipped())


def test_everyone_is_compared_with_fedprox_and_the_specialist_once() -> None:
    assert task().baselines == ("fedprox", "fednova")
    assert Task(task().request, "fedprox").baselines == ("fedprox",)
    assert Task(task().request, "fedavg").baselines == ("fedprox",)


def test_a_task_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(dump_yaml(task().request).replace("quantity-skew", "mine"))
    assert task(str(file)).name == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: FLStrategyRequest", "apiVersion"),
        ("", "there is nothing in it; write a resource"),
        ("WITHOUT", "fedwright.dev/specialist is missing; name the method made for this task"),
        ("TWICE", "exactly one FLStrategyRequest, and this has 2"),
    ],
)
def test_a_file_that_is_no_task_is_told_with_the_mend(tmp_path: Path, text: str, said: str) -> None:
    good = dump_yaml(task().request)
    file = tmp_path / "wrong.yaml"
    twice = f"{good}\n---\n{good.replace('name: quantity-skew', 'name: other')}"
    file.write_text({"WITHOUT": good.replace("fedwright.dev/specialist", "x/y"), "TWICE": twice}.get(text, text))
    with pytest.raises(TaskError, match=said):
        task(str(file))


def test_an_unknown_task_is_told_with_those_that_there_are() -> None:
    with pytest.raises(TaskError, match=r"'label-skew' is no task; use feature-skew, pathological-labels, quantity"):
        task("label-skew")


def test_a_task_that_is_named_twice_is_refused() -> None:
    with pytest.raises(TaskError, match="quantity-skew: given more than once"):
        tasks_called(["quantity-skew", "quantity-skew"])


# -- minds ------------------------------------------------------------------------------------------------------------
def test_a_profile_stands_behind_all_roles_and_the_catalogue_behind_none() -> None:
    assert of_profile("fast").minds.models.keys() == {"planner", "coder", "debugger", "reflector", "reviewers[0]"}
    assert CATALOGUE.minds == Minds() and CATALOGUE.slug == "catalogue"


def test_roles_can_be_mixed_and_reviewers_may_be_several() -> None:
    found = mixed(["coder=fast", "reviewer=fast", "reviewer=catalogue"])
    assert found.minds == Minds(coder="fast", reviewers=("fast", "catalogue"))
    assert found.label == "coder=fast,reviewer=fast,reviewer=catalogue"


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (["coder"], "'coder' is not ROLE=PROFILE; roles are planner, coder, debugger, reflector, reviewer"),
        (["tuner=fast"], "'tuner=fast' is not ROLE=PROFILE"),
        (["coder="], "'coder=' is not ROLE=PROFILE"),
        (["coder=a", "coder=b"], "coder is given twice; only reviewer may be"),
        (["coder=a b"], "a profile's name is a word"),
        (["reviewer=a"] * 10, "at most 9 reviewers"),
    ],
)
def test_a_word_that_is_no_mind_is_told(pairs: list[str], said: str) -> None:
    with pytest.raises(MindError, match=said):
        mixed(pairs)


def test_minds_have_different_names_of_requests_whatever_their_labels_are() -> None:
    labels = ["fast", "Fast", "fast.2", "f" * 63, "f" * 62]
    minds = [*map(of_profile, labels), mixed(["coder=fast"]), mixed(["planner=fast"])]
    slugs = [one.slug for one in minds]
    assert slugs[0] == "fast" and len(set(slugs)) == len(slugs)
    for mind in minds:
        assert Entry(task(), mind, 0).request.metadata.name.endswith("-s0")


# -- runs -------------------------------------------------------------------------------------------------------------
def test_minds_come_first_seed_by_seed() -> None:
    names = [one.name for one in entries(task(), (CATALOGUE, of_profile("fast")), 2)]
    assert names[:4] == [
        f"quantity-skew-{who}-s0" for who in ("catalogue", "fast", "vs-fedprox", "vs-fednova")
    ]  # fmt: skip
    assert len(names) == 8 and names[4] == "quantity-skew-catalogue-s1"


def test_a_mind_solves_the_task_as_it_is_without_pauses_or_a_rollout() -> None:
    request = Entry(task(), of_profile("fast"), 3).request
    given = task().request.spec
    assert request.spec.search == given.search and request.spec.task == given.task
    assert request.spec.judging.seed == 3 and request.spec.minds.planner == "fast"
    assert set(request.spec.interaction.to_wire().values()) == {"Automatic"} and not request.spec.deployment.enabled


def test_a_baseline_is_tuned_like_every_candidate_and_stands_alone_beside_fedavg() -> None:
    mind, baseline = (Entry(task(), who, 3).request.spec for who in (CATALOGUE, "fednova"))
    assert [one.method for one in baseline.search.candidates] == ["fednova"]
    assert (baseline.search.catalogue_methods, baseline.search.plan_candidates, baseline.search.generations) == (
        0,
        0,
        0,
    )
    assert baseline.search.trials == mind.search.trials
    assert (baseline.task, baseline.model, baseline.judging) == (mind.task, mind.model, mind.judging)
    assert baseline.minds == Minds()


def test_what_a_task_does_not_allow_names_the_run_and_the_field() -> None:
    poor = task().request.model_copy(
        update={"spec": task().request.spec.model_copy(update={"budgets": type(task().request.spec.budgets)()})}
    )
    with pytest.raises(TaskError, match=r"quantity-skew-fast-s0: spec: .*budgets.tokens is 0"):
        Entry(Task(poor, "fednova"), of_profile("fast"), 0).request  # noqa: B018 - it is asked for to see it refused


def test_a_name_that_is_too_long_is_told() -> None:
    long = task().request.model_copy(update={"metadata": task().request.metadata.model_copy(update={"name": "n" * 60})})
    with pytest.raises(TaskError, match="at most 63"):
        Entry(Task(long, "fednova"), Mind("catalogue", Minds()), 0).request  # noqa: B018
