"""`get`, `describe`, `logs`, `report`, `delete`: what a person reads, also beside a run in another terminal."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from person import Person
from scripted_machine import scripted
from small_plans import wait_for
from world import World

from fedwright_crds.base import Strict
from fedwright_crds.candidate import Candidate
from fedwright_crds.documents import PlanOutput
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.work import Reason, Work
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.home import Home
from fedwright_operator.local.store import Store

Manifest = Callable[..., Path]


@pytest.fixture
def done(fedwright: Person, manifest: Manifest) -> Person:
    """The command line on a home in which a request has its answer."""
    with scripted():
        assert fedwright("run", manifest()).status == 0
    return fedwright


def test_get_shows_a_table_a_kind(done: Person) -> None:
    requests, candidates = done("get").out.strip().split("\n\n")
    heading, row = requests.splitlines()
    assert heading.split() == ["NAME", "PHASE", "CANDIDATES", "BEST", "WINNER", "AGE"]
    assert row.split()[:2] == ["wish", "Succeeded"]
    assert len(candidates.splitlines()) > 3


def test_get_in_every_form(done: Person) -> None:
    assert done("get", "wish", "-o", "name").out == "flstrategyrequest/wish\n"
    assert done("get", "flsr", "wish", "-o", "json").document["status"]["phase"] == "Succeeded"
    assert yaml.safe_load(done("get", "wish", "-o", "yaml").out)["kind"] == "FLStrategyRequest"
    listed = done("get", "flcand", "-o", "json").document
    assert listed["kind"] == "List" and {one["kind"] for one in listed["items"]} == {"Candidate"}
    assert "METHOD" in done("get", "candidates", "-o", "wide").out
    assert done("get", "flfed").out == "No resources found.\n"
    assert done("get", "-n", "other").out == "No resources found.\n"


def test_describe_says_plan_candidates_answer_and_conditions(done: Person) -> None:
    said = done("describe", "wish").out
    for words in ("Succeeded", "Baselines, tuned like the candidates:", "wish-fedavg", "Finished=True", "Events"):
        assert words in said
    candidate = done("describe", "flcand/wish-fedavg").out
    assert "lr = " in candidate and "passed" in candidate


def test_logs_show_events_drafts_and_failed_work(fedwright: Person, manifest: Manifest) -> None:
    with scripted(script={"test": lambda _world, _work: Reason.OUT_OF_MEMORY}):
        assert fedwright("run", manifest()).status == 1
    said = fedwright("logs", "wish").out
    assert "Failed" in said and "OutOfMemory" in said and "draft 0" in said
    assert "plan " not in said, "work that went well is shown with --all"
    assert " plan " in fedwright("logs", "wish", "--all").out


def test_report_prints_where_it_lies(done: Person, home: Path) -> None:
    answer = done("report", "wish")
    assert Path(answer.last_line).read_text() == "<html>"
    assert Path(answer.last_line) == home / "report.html"


def test_delete_takes_candidates_works_and_artifacts_along(done: Person, home: Path) -> None:
    assert done("delete", "wish").out == "flstrategyrequest/wish deleted\n"
    assert Store(Home(home).resources).all() == ()
    assert not list((home / "works" / "results").iterdir())
    assert not Artifacts(Home(home).artifacts).digests()


def test_delete_keeps_what_another_request_of_the_same_work_needs(done: Person, manifest: Manifest, home: Path) -> None:
    with scripted():
        assert done("run", manifest(name="twin", file="twin.yaml")).status == 0
        done("delete", "wish")
        starts = (home / "works" / "started.jsonl").read_text()
        assert done("run", "twin").status == 0
    assert (home / "works" / "started.jsonl").read_text() == starts
    assert done("report", "twin").status == 0


def test_a_deployment_outlives_its_request(fedwright: Person, manifest: Manifest, home: Path) -> None:
    with scripted():
        fedwright("run", manifest(deployment={"nodes": 2, "rounds": 3}))
    fedwright("delete", "wish")
    assert fedwright("get", "-o", "name").out.split() == ["federation/wish-fleet", "fldeployment/wish"]
    assert fedwright("delete", "fldep/wish").status == 0
    assert (home / "federations" / "default" / "wish-fleet").is_dir()
    assert fedwright("delete", "flfed/wish-fleet").status == 0
    assert not (home / "federations" / "default" / "wish-fleet").exists(), "its keys are gone with it"


def test_delete_beside_a_run_ends_that_runs_work_first(fedwright: Person, manifest: Manifest, home: Path) -> None:
    ended = []

    def elsewhere() -> None:
        store = Store(Home(home).resources)
        wait_for(lambda: bool(store.list(Candidate)))
        command = [sys.executable, "-m", "fedwright_operator", "delete", "wish"]
        ended.append(subprocess.run(command, capture_output=True, text=True, check=False))

    other = threading.Thread(target=elsewhere)
    other.start()
    with scripted(seconds=0.3):
        answer = fedwright("run", manifest())
    other.join()
    assert answer.status == 1 and "deleted while it ran" in answer.error
    assert (ended[0].returncode, ended[0].stdout) == (0, "flstrategyrequest/wish deleted\n")
    assert not Store(Home(home).resources).list(FLStrategyRequest)


def test_get_watches_a_run_from_another_terminal(
    fedwright: Person, manifest: Manifest, home: Path, tmp_path: Path
) -> None:
    fedwright("apply", manifest())
    seen = tmp_path / "seen"
    with seen.open("wb") as out:
        watch = subprocess.Popen(
            [sys.executable, "-m", "fedwright_operator", "get", "flsr", "wish", "-w", "-o", "json"],
            stdout=out,
            env={**os.environ, "FEDWRIGHT_HOME": str(home)},
        )
        wait_for(lambda: seen.stat().st_size > 0)
        with scripted(seconds=0.02):
            assert fedwright("run", "wish").status == 0
        wait_for(lambda: b'"Succeeded"' in seen.read_bytes())
        watch.send_signal(signal.SIGINT)
        assert watch.wait(10) == 130
    decoder, text, versions, phases = json.JSONDecoder(), seen.read_text().lstrip(), [], []
    while text:
        document, end = decoder.raw_decode(text)
        versions.append(int(document["metadata"]["resourceVersion"]))
        phases.append(document["status"]["phase"])
        text = text[end:].lstrip()
    assert versions == sorted(set(versions)), "each version once, in order"
    assert phases[0] == "Pending" and phases[-1] == "Succeeded" and "Exploring" in phases


def test_what_a_mind_wrote_cannot_write_to_the_terminal(fedwright: Person, manifest: Manifest) -> None:
    def hostile(world: World, work: Work) -> dict[str, Strict | bytes]:
        (output,) = world.answer_plan(work).values()
        assert isinstance(output, PlanOutput) and output.plan
        plan = output.plan.model_copy(update={"summary": "Well.\n\x1b[2J\x1b]0;title\x07Better."})
        return {"plan.json": output.model_copy(update={"plan": plan})}

    asking = {"questions": "Automatic", "plan": "Required", "promotion": "Automatic"}
    with scripted(script={"plan": hostile}):
        asked = fedwright("run", manifest(interaction=asking))
    assert asked.status == 3
    for said in (asked.out, fedwright("describe", "wish").out, fedwright("logs", "wish").out):
        assert not {"\x1b", "\x07"} & set(said)
    assert "\n  Well.\n  ?[2J?]0;title?Better.\n" in fedwright("describe", "wish").out
