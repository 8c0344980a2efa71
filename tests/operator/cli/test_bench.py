"""`fedwright bench` with the real loop and statistics over scripted boxes: its answer, its resumption, its interrupts."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import scripted_machine
import yaml
from person import Person, manifest_of
from scripted_machine import scripted
from small_plans import wait_for

from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.work import Reason
from fedwright_operator.local.home import Home
from fedwright_operator.local.store import Store

Manifest = Callable[..., Path]


@pytest.fixture
def task(manifest: Manifest) -> Path:
    """A small task of one's own."""
    document = manifest_of("small", interaction={}, budgets={"tokens": 1000})
    document["metadata"]["annotations"] = {"fedwright.dev/specialist": "scaffold"}
    return manifest(document, file="small.yaml")


def started(home: Path) -> str:
    return (home / "works" / "started.jsonl").read_text()


def test_all_runs_end_and_their_figures_are_told(fedwright: Person, task: Path, home: Path) -> None:
    with scripted():
        answer = fedwright("bench", task, "--seeds", 2, "-o", "json")
    assert answer.status == 0, answer.error
    (found,) = answer.document
    assert (found["task"], found["mind"], found["specialist"], found["metric"]) == (
        "small", "catalogue", "scaffold", "Accuracy/Global"
    )  # fmt: skip
    assert (found["seeds"], found["ended"], found["answered"], found["won"], found["successRate"]) == (2, 2, 2, 2, 1.0)
    assert found["against"].keys() == {"fedavg", "fedprox", "scaffold"}
    assert found["against"]["fedavg"]["difference"] == pytest.approx(0.1, abs=0.01)
    assert found["against"]["scaffold"]["difference"] == pytest.approx(0, abs=0.01)
    assert [one["request"] for one in found["runs"]] == ["small-catalogue-s0", "small-catalogue-s1"]
    assert found["meanOfARun"]["tokens"] == 0 and found["meanOfARun"]["boxSeconds"] > 0
    names = {one.metadata.name for one in Store(Home(home).resources).list(FLStrategyRequest)}
    assert names == {f"small-{who}-s{n}" for who in ("catalogue", "vs-fedprox", "vs-scaffold") for n in (0, 1)}
    assert not (home / "result.json").exists(), "what a person's own request left is not overwritten"


def test_run_again_it_starts_nothing_and_more_seeds_start_the_missing_ones(
    fedwright: Person, task: Path, home: Path
) -> None:
    with scripted():
        first = fedwright("bench", task, "--seeds", 1, "-o", "json").document
        before = started(home)
        again = fedwright("bench", task, "--seeds", 1, "-o", "yaml")
        assert yaml.safe_load(again.out) == first and started(home) == before
        assert "small-catalogue-s0 (" not in again.error
        table = fedwright("bench", task, "--seeds", 2)
    assert "2/2" in table.out and "scaffold*" in table.out and "95% INTERVAL" in table.out
    assert "small-catalogue-s1 (4 of 6)" in table.error and "small-catalogue-s0 (" not in table.error


def test_a_run_that_fails_is_a_figure_and_the_others_go_on(fedwright: Person, task: Path) -> None:
    def no_plan_at_first(world, work):  # type: ignore[no-untyped-def]
        seed = json.loads(world.read(work, "plan-input.json"))["spec"]["judging"]["seed"]
        return Reason.CRASHED if seed == 0 else world.answer_plan(work)

    with scripted(script={"plan": no_plan_at_first}):
        answer = fedwright("bench", task, "--seeds", 2, "-o", "json")
    assert answer.status == 1
    (found,) = answer.document
    assert (found["ended"], found["answered"], found["successRate"]) == (2, 1, 0.5)
    assert [one["phase"] for one in found["runs"]] == ["Failed", "Succeeded"]
    assert found["against"]["fedprox"]["runs"] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_in_order_with_what_is_there_and_it_goes_on(
    number: int, fedwright: Person, task: Path, home: Path
) -> None:
    words = [sys.executable, scripted_machine.__file__, "0.05", "bench", str(task), "--seeds", "1", "--home", str(home)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list((home / "works" / "results").glob("*.json"))) > 5)
    process.send_signal(number)
    out, error = process.communicate(timeout=20)
    assert process.returncode == 130, error
    assert "run the same command again to go on" in error and "Traceback" not in error
    assert "0/0 of 1" in out
    with scripted():
        assert fedwright("bench", task, "--seeds", 1).status == 0
    ids = [json.loads(line)["id"] for line in started(home).splitlines()]
    assert len(ids) - len(set(ids)) <= 2, "what had finished was started again"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["label-skew"], "'label-skew' is no task; use feature-skew, pathological-labels, quantity-skew"),
        (["quantity-skew", "--seeds", "0"], "--seeds: 0 is not from 1 to 100"),
        (["quantity-skew", "--seeds", "101"], "--seeds: 101 is not from 1 to 100"),
        (["quantity-skew", "--profile", "gone"], "is 'gone', a profile that belongs into"),
        (["quantity-skew", "--minds", "coder=gone"], "spec.minds.coder is 'gone'"),
        (["quantity-skew", "--minds", "painter=fast"], "'painter=fast' is not ROLE=PROFILE"),
        (["/nowhere.yaml"], "'/nowhere.yaml' is no task"),
    ],
)
def test_bad_input_is_one_clear_line_and_nothing_is_written(
    words: list[str], said: str, fedwright: Person, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FEDWRIGHT_PROFILES", raising=False)
    answer = fedwright("bench", *words)
    assert answer.status == 2 and len(answer.error.splitlines()) == 1
    assert said in answer.error
    assert not home.exists()


def test_a_task_that_was_changed_is_refused_rather_than_mixed(fedwright: Person, task: Path) -> None:
    with scripted():
        assert fedwright("bench", task, "--seeds", 1).status == 0
        task.write_text(task.read_text().replace("goal:", "goal: more of") if "goal: " in task.read_text() else "")
        answer = fedwright("bench", task, "--seeds", 1)
    assert answer.status == 2 and "spec.goal" in answer.error and "another name" in answer.error


def test_help_has_examples_and_says_what_counts(fedwright: Person) -> None:
    answer = fedwright("bench", "--help")
    assert answer.status == 0
    assert "fedwright bench quantity-skew --seeds 5" in answer.out and "counts as answered" in answer.out
