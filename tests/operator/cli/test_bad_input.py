"""Bad input: one clear message that names the field and the mend, exit 2, nothing written, nothing started."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from person import Person, manifest_of
from scripted_machine import scripted

from fedwright_crds.base import digest_of

Manifest = Callable[..., Path]


def changed(**spec: Any) -> dict[str, Any]:
    """A good manifest with fields of its spec replaced, unchecked."""
    document = manifest_of()
    return {**document, "spec": {**document["spec"], **spec}}


DIGITS = {"data": {"source": "Digits"}, "training": {"rounds": 8, "localSteps": 2}}

BAD = {
    "an unknown field": (changed(serach={"trials": 3}), "spec.serach", "search"),
    "a wrong unit": (changed(budgets={"wallSeconds": "10m"}), "spec.budgets.wallSeconds", "number"),
    "an objective that the task cannot measure": (
        changed(objective={"metric": "Forgetting"}),
        "spec.objective.metric",
        "continual",
    ),
    "epsilon of zero": (changed(privacy={"epsilon": 0, "delta": 1e-5}), "spec.privacy.epsilon", "above 0"),
    "a budget too small for one candidate": (
        changed(budgets={"simulatedRounds": 10}),
        "budgets.simulatedRounds",
        "raise",
    ),
    "a mind that this machine does not have": (
        changed(minds={"planner": "gpt-9"}, budgets={"tokens": 1000}),
        "spec.minds.planner is 'gpt-9'",
        "give catalogue",
    ),
    "a reviewer that this machine does not have": (
        changed(minds={"reviewers": ["catalogue", "nobody"]}, budgets={"tokens": 1000}),
        "spec.minds.reviewers[1] is 'nobody'",
        "give catalogue",
    ),
    "a search of the web by the catalogue": (
        changed(minds={"search": "web"}),
        "minds.search is web, but minds.planner is catalogue",
        "remove search",
    ),
    "a model without a budget": (changed(minds={"coder": "gpt-9"}), "budgets.tokens is 0", "say how many"),
    "a model as tuner": (changed(minds={"tuner": "gpt-9"}), "minds.tuner", "write catalogue"),
    "a name longer than a file's": (
        {**manifest_of(), "metadata": {"name": "a" * 253}},
        "metadata.name",
        "at most 200 characters",
    ),
    "a kind that is none": ({**manifest_of(), "kind": "Strategy"}, "kind", "FLStrategyRequest"),
    "a candidate by hand": (
        {
            "apiVersion": "fedwright.dev/v1alpha1",
            "kind": "Candidate",
            "metadata": {"name": "mine"},
            "spec": {"request": "wish", "origin": "Plan", "method": "fedavg", "title": "t", "hypothesis": "h"},
        },
        "kind",
        "spec.search.candidates",
    ),
}


@pytest.mark.parametrize("verb", ["run", "apply"])
@pytest.mark.parametrize(("document", "field", "mend"), BAD.values(), ids=BAD)
def test_a_bad_field_is_named_with_its_mend(
    verb: str, document: dict[str, Any], field: str, mend: str, fedwright: Person, manifest: Manifest, home: Path
) -> None:
    answer = fedwright(verb, manifest(document))
    assert (answer.status, answer.out) == (2, "")
    assert field in answer.error and mend in answer.error
    assert len(answer.error.strip().splitlines()) == 1, answer.error
    assert "Traceback" not in answer.error
    assert not home.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing in it; write a resource"),
        ("# only a comment\n", "nothing in it; write a resource"),
        ("- a\n- list\n", "apiVersion"),
        ("a: [1, 2", "line"),
        ("just words", "apiVersion"),
    ],
)
def test_a_file_without_a_resource_says_what_to_write(
    text: str, words: str, fedwright: Person, tmp_path: Path, home: Path
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    answer = fedwright("run", path)
    assert answer.status == 2 and words in answer.error and str(path) in answer.error
    assert not home.exists()


def test_a_fleet_that_is_not_there_is_said_before_anything_is_written(
    fedwright: Person, manifest: Manifest, home: Path
) -> None:
    answer = fedwright("run", manifest(deployment={"federation": "nowhere"}))
    assert answer.status == 2 and "spec.deployment.federation is 'nowhere'" in answer.error
    assert "apply it first" in answer.error and not home.exists()


def test_a_fleet_beside_its_request_is_there(fedwright: Person, manifest: Manifest) -> None:
    fleet = {
        "apiVersion": "fedwright.dev/v1alpha1",
        "kind": "Federation",
        "metadata": {"name": "edge"},
        "spec": {"groups": [{"name": "nodes", "nodes": 2, "data": {"path": "/data/shard.npz"}}]},
    }
    asking = {"questions": "Automatic", "plan": "Required", "promotion": "Automatic"}
    with scripted():
        wish = manifest_of(interaction=asking, deployment={"federation": "edge"})
        assert fedwright("run", manifest(wish, fleet)).status == 3
        assert fedwright("run", "wish").status == 3


def test_standard_input_is_a_file_too(fedwright: Person, manifest: Manifest) -> None:
    before = os.dup(0)
    try:
        with manifest().open() as file:
            os.dup2(file.fileno(), 0)
        assert fedwright("apply", "-").out == "flstrategyrequest/wish created\n"
    finally:
        os.dup2(before, 0)
        os.close(before)


def test_a_home_may_be_named_before_the_command(fedwright: Person, manifest: Manifest, tmp_path: Path) -> None:
    assert fedwright("--home", tmp_path / "before", "apply", manifest()).status == 0
    assert (tmp_path / "before/resources").is_dir()
    assert fedwright("--home", tmp_path / "before", "apply", manifest(), "--home", tmp_path / "after").status == 0
    assert (tmp_path / "after/resources").is_dir()


def test_a_file_that_is_not_there(fedwright: Person, tmp_path: Path, home: Path) -> None:
    answer = fedwright("run", tmp_path / "nowhere.yaml")
    assert answer.status == 2 and "nowhere.yaml" in answer.error and "name a file" in answer.error
    assert not home.exists()


def test_two_documents_with_one_name(fedwright: Person, manifest: Manifest, home: Path) -> None:
    answer = fedwright("apply", manifest(manifest_of(), manifest_of()))
    assert answer.status == 2 and "metadata.name wish" in answer.error and "rename" in answer.error
    assert not home.exists()


def test_run_takes_one_request(fedwright: Person, manifest: Manifest, home: Path) -> None:
    answer = fedwright("run", manifest(manifest_of("one"), manifest_of("two")))
    assert answer.status == 2 and "exactly one FLStrategyRequest and found 2" in answer.error
    assert not home.exists()


def test_a_good_document_beside_a_bad_one_is_not_written(fedwright: Person, manifest: Manifest, home: Path) -> None:
    assert fedwright("apply", manifest(manifest_of("good"), changed(serach={}))).status == 2
    assert not home.exists()


# -- changes ----------------------------------------------------------------------------------------
def test_what_is_frozen_cannot_change_after_planning_and_the_message_says_which(
    fedwright: Person, manifest: Manifest, home: Path
) -> None:
    asking = {"questions": "Automatic", "plan": "Required", "promotion": "Automatic"}
    with scripted():
        assert fedwright("run", manifest(interaction=asking)).status == 3
    before = fedwright("get", "wish", "-o", "yaml").out
    for verb in ("run", "apply"):
        answer = fedwright(verb, manifest(interaction=asking, task={**DIGITS, "clients": 30}))
        assert answer.status == 2, answer.out
        assert "spec.task.clients" in answer.error and "another name" in answer.error
    assert fedwright("get", "wish", "-o", "yaml").out == before


def test_before_planning_all_may_change(fedwright: Person, manifest: Manifest) -> None:
    assert fedwright("apply", manifest()).out == "flstrategyrequest/wish created\n"
    assert fedwright("apply", manifest()).out == "flstrategyrequest/wish unchanged\n"
    assert fedwright("apply", manifest(goal="another")).out == "flstrategyrequest/wish configured\n"
    assert fedwright("get", "wish", "-o", "json").document["spec"]["goal"] == "another"


def test_budgets_may_grow_and_not_shrink(fedwright: Person, manifest: Manifest) -> None:
    asking = {"questions": "Automatic", "plan": "Required", "promotion": "Automatic"}
    with scripted():
        fedwright("run", manifest(interaction=asking, budgets={"wallSeconds": 600}))
    assert fedwright("apply", manifest(interaction=asking, budgets={"wallSeconds": 900})).status == 0
    answer = fedwright("apply", manifest(interaction=asking, budgets={"wallSeconds": 300}))
    assert answer.status == 2 and "spec.budgets.wallSeconds" in answer.error


def test_words_that_were_said_by_verbs_are_kept_when_the_file_is_applied_again(
    fedwright: Person, manifest: Manifest
) -> None:
    asking = {"questions": "Automatic", "plan": "Required", "promotion": "Automatic"}
    with scripted():
        fedwright("run", manifest(interaction=asking))
    fedwright("approve", "wish")
    assert fedwright("apply", manifest(interaction=asking)).out == "flstrategyrequest/wish unchanged\n"
    assert fedwright("get", "wish", "-o", "json").document["spec"]["approvals"][0]["approved"] is True


def test_a_deployment_cannot_become_another(fedwright: Person, manifest: Manifest) -> None:
    def deployment(rounds: int) -> dict[str, Any]:
        spec = {"federation": "edge", "package": digest_of(b"app"), "rounds": rounds}
        return {
            "apiVersion": "fedwright.dev/v1alpha1",
            "kind": "Deployment",
            "metadata": {"name": "app"},
            "spec": spec,
        }

    assert fedwright("apply", manifest(deployment(3))).status == 0
    answer = fedwright("apply", manifest(deployment(4)))
    assert answer.status == 2 and "spec.rounds" in answer.error


# -- words ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("get strategies", "no flstrategyrequest 'strategies'"),
        ("get thing wish", "'thing' is no kind; use one of flstrategyrequests (flsr)"),
        ("get flsr/other", "there are wish"),
        ("describe flsr", "give its NAME too"),
        ("approve wish", "waits for no approval"),
        ("promote wish", "waits for no approval"),
        ("answer wish a=b", "none is open"),
        ("retry wish", "not Failed"),
        ("report wish", "no report yet"),
        ("abort flcand/wish", "no candidate 'wish'"),
        ("delete nothing", "there are wish"),
        ("logs other", "there are wish"),
    ],
)
def test_a_wrong_word_is_refused_with_what_there_is(
    words: str, says: str, fedwright: Person, manifest: Manifest
) -> None:
    fedwright("apply", manifest())
    answer = fedwright(*words.split())
    assert (answer.status, answer.out) == (2, "")
    assert says in answer.error, answer.error


@pytest.mark.parametrize("words", ["get", "describe wish", "logs wish", "delete wish", "approve wish"])
def test_a_home_without_anything_says_so_and_is_not_made(words: str, fedwright: Person, home: Path) -> None:
    answer = fedwright(*words.split())
    assert answer.status == 2 and f"--home: {home} holds no resources" in answer.error
    assert not home.exists()


def test_a_home_that_is_a_file(fedwright: Person, manifest: Manifest, home: Path) -> None:
    home.write_text("")
    answer = fedwright("run", manifest())
    assert answer.status == 2 and f"--home: {home} is not a folder" in answer.error


@pytest.mark.parametrize("words", ["frobnicate", "run", "get --outptu json", "get -o xml"])
def test_the_usage_is_bad_input_too(words: str, fedwright: Person) -> None:
    assert fedwright(*words.split()).status == 2


def test_a_sandbox_that_is_missing_is_said_before_anything_is_written(
    fedwright: Person, manifest: Manifest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedwright_operator.cli.run.sandbox_available", lambda: "bubblewrap was not found")
    answer = fedwright("run", manifest())
    assert answer.status == 2
    assert "bubblewrap was not found" in answer.error and "--unsafe-no-sandbox" in answer.error
    assert not home.exists()
    with scripted():
        assert fedwright("run", manifest(), "--unsafe-no-sandbox").status == 0


def test_every_command_has_help_with_an_example(fedwright: Person) -> None:
    shown = fedwright("--help").out
    commands = [line.split()[1] for line in shown.splitlines() if line.startswith("│ ") and "--" not in line]
    assert {"run", "apply", "get", "describe", "logs", "answer", "approve", "reject"} <= set(commands)
    assert {"promote", "abort", "retry", "delete", "report"} <= set(commands)
    for command in commands:
        assert f"fedwright {command}" in fedwright(command, "--help").out, command


def test_the_file_form_of_yaml_output_can_be_applied_again(
    fedwright: Person, manifest: Manifest, tmp_path: Path
) -> None:
    fedwright("apply", manifest())
    document = yaml.safe_load(fedwright("get", "wish", "-o", "yaml").out)
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(document))
    assert fedwright("apply", again).out == "flstrategyrequest/wish unchanged\n"


def test_a_search_profile_that_is_there_is_taken_and_another_is_named(
    fedwright: Person, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "profiles.yaml"
    search = [{"name": "web", "provider": "duckduckgo"}]
    file.write_text(yaml.safe_dump({"profiles": [{"name": "fast", "model": "openai/x"}], "search": search}))
    monkeypatch.setenv("FEDWRIGHT_PROFILES", str(file))
    wants = {"minds": {"planner": "fast", "search": "web"}, "budgets": {"tokens": 1000}}
    assert fedwright("apply", manifest(**wants)).status == 0
    wants["minds"] = {"planner": "fast", "search": "wbe"}
    answer = fedwright("apply", manifest(**wants))
    assert answer.status == 2 and len(answer.error.splitlines()) == 1
    assert (
        f"spec.minds.search is 'wbe', a search profile that {file} does not have; name one of its list" in answer.error
    )
