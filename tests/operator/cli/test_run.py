"""`fedwright run` with the real loop, store and reconcilers over scripted boxes: answers, pauses, failures, kills."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scripted_machine
from person import Person
from scripted_machine import scripted
from small_plans import wait_for
from world import World

from fedwright_crds.candidate import Candidate
from fedwright_crds.documents import PlanOutput, Problem
from fedwright_crds.request import FLStrategyRequest, Question
from fedwright_crds.work import Reason, Work
from fedwright_operator.local.home import Home
from fedwright_operator.local.store import Store

Manifest = Callable[..., Path]
ASK = {"questions": "Automatic", "plan": "Required", "promotion": "Automatic"}


def test_ends_with_an_answer_and_leaves_it_in_the_home(fedwright: Person, manifest: Manifest, home: Path) -> None:
    with scripted():
        answer = fedwright("run", manifest())
    assert answer.status == 0, answer.error
    result = json.loads((home / "result.json").read_text())
    assert answer.last_line == result["verdict"]
    assert result["winner"]["candidate"] in {"wish-scaffold", "wish-p1"}
    assert result["baseline"]["candidate"] == "wish-fedavg"
    assert (home / "report.html").read_text() == "<html>"
    code = home / "code" / result["winner"]["candidate"] / "strategy.py"
    assert code.read_text() == "# scaffold scaffold"
    assert {one.name for one in (home / "code").iterdir()} >= {"wish-fedavg", "wish-p1"}
    assert result["seconds"] > 0 and result["peakMemoryMiB"] >= 0


def test_run_again_it_has_the_same_answer_and_starts_nothing(fedwright: Person, manifest: Manifest, home: Path) -> None:
    with scripted():
        first = fedwright("run", manifest())
        starts = (home / "works" / "started.jsonl").read_text()
        again = fedwright("run", "wish")
    assert (again.status, again.last_line) == (0, first.last_line)
    assert (home / "works" / "started.jsonl").read_text() == starts


def test_no_improvement_is_an_answer(fedwright: Person, manifest: Manifest, home: Path) -> None:
    with scripted(quality=dict.fromkeys(["fedavg", "fedprox", "scaffold", "fedadam"], 0.8)):
        answer = fedwright("run", manifest())
    assert (answer.status, json.loads((home / "result.json").read_text())["phase"]) == (0, "NoImprovement")


def test_a_winner_is_deployed_and_its_model_and_metrics_are_there(
    fedwright: Person, manifest: Manifest, home: Path
) -> None:
    with scripted():
        answer = fedwright("run", manifest(deployment={"nodes": 2, "rounds": 3}))
    assert answer.status == 0, answer.out + answer.error
    assert (home / "model.npz").read_bytes() == b"npz"
    assert len(json.loads((home / "deployment" / "metrics.json").read_text())["rounds"]) == 3
    shown = fedwright("get", "fldep", "wish", "-o", "json").document
    assert (shown["status"]["phase"], shown["status"]["round"]) == ("Succeeded", 3)
    assert fedwright("get", "flfed", "-o", "json").document["items"][0]["status"]["phase"] == "Pending", (
        "it was stopped"
    )


def test_a_plan_waits_for_a_word_and_says_the_commands_that_go_on(
    fedwright: Person, manifest: Manifest, home: Path
) -> None:
    with scripted():
        answer = fedwright("run", manifest(interaction=ASK))
        assert answer.status == 3
        assert "fedwright approve wish" in answer.out and "fedwright run wish" in answer.out
        assert "FedAvg" in answer.out or "fedavg" in answer.out
        assert fedwright("run", "wish").status == 3, "nothing was said, so it still waits"
        assert fedwright("approve", "wish", "--reason", "fine").status == 0
        assert fedwright("run", "wish").status == 0


def test_the_commands_that_go_on_name_the_home_if_it_was_named(
    fedwright: Person, manifest: Manifest, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    with scripted():
        answer = fedwright("run", manifest(interaction=ASK), "--home", elsewhere)
    assert f"fedwright approve wish --home {elsewhere}" in answer.out


def test_a_rejected_plan_fails_with_the_persons_reason(fedwright: Person, manifest: Manifest) -> None:
    with scripted():
        fedwright("run", manifest(interaction=ASK))
        assert fedwright("reject", "wish", "--reason", "too slow").status == 0
        answer = fedwright("run", "wish")
    assert answer.status == 1 and "PlanRejected: too slow" in answer.error


def test_questions_are_answered_and_the_plan_follows(fedwright: Person, manifest: Manifest) -> None:
    asking = {"questions": "Required", "plan": "Automatic", "promotion": "Automatic"}
    with scripted(script={"plan": asks_first}):
        answer = fedwright("run", manifest(interaction=asking))
        assert answer.status == 3
        assert "priority: What matters most? [accuracy | bytes] (default: accuracy)" in answer.out
        assert "fedwright answer wish priority=accuracy" in answer.out
        assert fedwright("answer", "wish", "priority=speed").status == 2
        assert fedwright("answer", "wish", "colour=red").status == 2
        assert fedwright("answer", "wish", "priority=bytes").status == 0
        assert fedwright("run", "wish").status == 0


def asks_first(world: World, work: Work) -> Any:
    if json.loads(world.read(work, "plan-input.json")).get("answers"):
        return world.answer_plan(work)
    question = Question(id="priority", text="What matters most?", options=("accuracy", "bytes"), default="accuracy")
    return {"plan.json": PlanOutput(questions=(question,))}


def test_a_promotion_waits_too(fedwright: Person, manifest: Manifest) -> None:
    asking = {"questions": "Automatic", "plan": "Automatic", "promotion": "Required"}
    with scripted():
        answer = fedwright("run", manifest(interaction=asking, deployment={"nodes": 2, "rounds": 3}))
        assert answer.status == 3 and "fedwright promote wish" in answer.out
        assert fedwright("promote", "wish").status == 0
        assert fedwright("run", "wish").status == 0


def test_a_function_that_raises_a_book_is_bad_input_like_any_other(fedwright: Person, manifest: Manifest) -> None:
    problem = Problem(field="spec.task.data.entryPoint", message="x" * 16000, mend="mend the function " * 50)
    with scripted(script={"inspect": lambda _world, _work: {"problem.json": problem}}):
        answer = fedwright("run", manifest())
    assert answer.status == 2 and "spec.task.data.entryPoint" in answer.error and "Traceback" not in answer.error
    assert fedwright("logs", "wish").status == 0


def test_what_the_judge_finds_wrong_in_the_request_is_bad_input(
    fedwright: Person, manifest: Manifest, home: Path
) -> None:
    problem = Problem(field="spec.task.clients", message="there are more clients than samples", mend="lower clients")
    with scripted(script={"inspect": lambda _world, _work: {"problem.json": problem}}):
        answer = fedwright("run", manifest())
    assert answer.status == 2
    assert "spec.task.clients: there are more clients than samples; lower clients" in answer.error
    assert not Store(Home(home).resources).list(Candidate)


def test_a_failure_can_be_tried_again(fedwright: Person, manifest: Manifest) -> None:
    with scripted(script={"inspect": lambda _world, _work: Reason.CRASHED}):
        answer = fedwright("run", manifest())
    assert answer.status == 1 and "WorkFailed" in answer.error
    assert fedwright("retry", "wish").status == 0
    with scripted():
        assert fedwright("run", "wish").status == 0


def test_an_abort_from_another_terminal_ends_the_run(fedwright: Person, manifest: Manifest, home: Path) -> None:
    def interrupt() -> None:
        store = Store(Home(home).resources)
        wait_for(lambda: bool(store.list(Candidate)))
        subprocess.run([sys.executable, "-m", "fedwright_operator", "abort", "wish"], check=True, capture_output=True)

    other = threading.Thread(target=interrupt)
    other.start()
    with scripted(seconds=0.3):
        answer = fedwright("run", manifest())
    other.join()
    assert answer.status == 1 and "Aborted" in answer.error


def test_a_home_that_is_driven_is_refused_with_who_drives_it(fedwright: Person, manifest: Manifest, home: Path) -> None:
    with Home(home).driven():
        answer = fedwright("run", manifest())
    assert answer.status == 2 and "drives" in answer.error and "--home" in answer.error


# -- kills ------------------------------------------------------------------------------------------
def start(home: Path, file: Path, seconds: float = 0.05) -> subprocess.Popen[bytes]:
    program = [sys.executable, scripted_machine.__file__, str(seconds), "run", str(file), "--home", str(home)]
    return subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finished(home: Path) -> int:
    return len(list((home / "works" / "results").glob("*.json")))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_at_once_with_130_and_it_resumes(
    number: int, fedwright: Person, manifest: Manifest, home: Path
) -> None:
    process = start(home, manifest(), seconds=0.1)
    wait_for(lambda: finished(home) > 5)
    began = time.monotonic()
    process.send_signal(number)
    _, error = process.communicate(timeout=10)
    assert process.returncode == 130, error
    assert time.monotonic() - began < 3
    assert b"run the same command again" in error
    done = finished(home)
    with scripted():
        assert fedwright("run", manifest()).status == 0
    assert finished(home) > done > 5


def test_killed_at_many_moments_it_ends_with_the_winner_of_an_unbroken_run(
    fedwright: Person, manifest: Manifest, home: Path, tmp_path: Path
) -> None:
    file = manifest()
    with scripted():
        assert fedwright("run", file, "--home", tmp_path / "unbroken").status == 0
    for kill in range(5):
        before, process = finished(home), start(home, file, seconds=0.02)
        wait_for(lambda before=before, process=process: finished(home) > before + 8 or process.poll() is not None)
        time.sleep(0.007 * kill)
        process.kill()
        process.communicate()
    with scripted():
        assert fedwright("run", file).status == 0
    broken, unbroken = (json.loads((one / "result.json").read_text()) for one in (home, tmp_path / "unbroken"))
    for key in ("winner", "baseline", "bestCatalogue", "primary", "phase", "spent"):
        assert broken[key] == unbroken[key], key
    starts = Counter(json.loads(line)["id"] for line in (home / "works" / "started.jsonl").read_text().splitlines())
    assert set(starts) == {one.stem for one in (home / "works" / "results").glob("*.json")}
    assert all(count <= 6 for count in starts.values())


def test_the_phases_of_a_request_are_told_once_each(fedwright: Person, manifest: Manifest) -> None:
    with scripted():
        fedwright("run", manifest())
    told = [line.split()[2] for line in fedwright("logs", "wish").out.splitlines() if " wish " in f" {line} "]
    phases = [one.rstrip(":") for one in told if one.rstrip(":") in {"Planning", "Exploring", "Selecting", "Succeeded"}]
    assert phases == ["Planning", "Exploring", "Selecting", "Succeeded"]


def test_another_request_of_the_home_goes_on_too(fedwright: Person, manifest: Manifest, home: Path) -> None:
    fedwright("apply", manifest(name="second", file="second.yaml"))
    with scripted():
        assert fedwright("run", manifest()).status == 0
        assert fedwright("run", "second").status == 0
    phases = {one.metadata.name: str(one.status.phase) for one in Store(Home(home).resources).list(FLStrategyRequest)}
    assert phases == {"wish": "Succeeded", "second": "Succeeded"}
