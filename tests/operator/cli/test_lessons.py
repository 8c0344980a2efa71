"""What one request teaches is in the home when it has ended; a later one names what it may search, and keeps it."""

import json
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest
import yaml
from person import Person
from scripted_machine import scripted

from fedwright_crds.base import canonical
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.home import Home
from fedwright_operator.reconcile.learning import ANNOTATION

Manifest = Callable[..., Path]
LESSON = MappingProxyType(
    {
        "request": "wish",
        "data": "Digits",
        "partition": "IID",
        "architecture": "Mlp",
        "clients": 20,
        "rounds": 8,
        "participation": 1.0,
        "method": "scaffold",
        "metric": "Accuracy",
        "verdict": "Won",
    }
)
TEACHES = MappingProxyType({"learn": lambda _world, _work: {"lessons.json": canonical([dict(LESSON)])}})
BY_MODEL = MappingProxyType({"minds": {"planner": "fast"}, "budgets": {"tokens": 1000}})


@pytest.fixture(autouse=True)
def _profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "profiles.yaml"
    file.write_text(yaml.safe_dump({"profiles": [{"name": "fast", "model": "openai/m"}]}))
    monkeypatch.setenv("FEDWRIGHT_PROFILES", str(file))


def annotations(fedwright: Person, name: str) -> dict[str, str]:
    return dict(fedwright("get", "flsr", name, "-o", "json").document["metadata"].get("annotations", {}))


def test_a_finished_request_leaves_its_lessons_once(fedwright: Person, manifest: Manifest, home: Path) -> None:
    with scripted(script=TEACHES):
        assert fedwright("run", manifest()).status == 0
        assert fedwright("run", "wish").status == 0
    assert [json.loads(line)["method"] for line in Home(home).lessons.read_text().splitlines()] == ["scaffold"]


def test_lessons_that_no_one_can_read_are_told_and_undo_nothing(
    fedwright: Person, manifest: Manifest, home: Path
) -> None:
    wrong = {"learn": lambda _world, _work: {"lessons.json": b'[{"method": "trust me"}]'}}
    with scripted(script=wrong):
        answer = fedwright("run", manifest())
    assert answer.status == 0 and "lessons were not kept" in answer.error
    assert not Home(home).lessons.exists()


def test_a_later_request_names_what_was_known_when_it_was_created(
    fedwright: Person, manifest: Manifest, home: Path
) -> None:
    with scripted(script=TEACHES):
        assert fedwright("run", manifest(name="first", file="first.yaml", **BY_MODEL)).status == 0
        assert annotations(fedwright, "first").keys() == set(), "a fresh home knows nothing"
        later = manifest(name="later", file="later.yaml", **BY_MODEL)
        assert fedwright("apply", later).status == 0
    named = annotations(fedwright, "later")
    assert Artifacts(home / "artifacts").read(named[ANNOTATION]) == Home(home).lessons.read_bytes()
    Home(home).lessons.write_bytes(b'{"more": 1}\n{"half')
    assert fedwright("apply", later).status == 0
    assert annotations(fedwright, "later") == named, "applied again it may search the same"
    third = manifest(name="third", file="third.yaml", **BY_MODEL)
    assert fedwright("apply", third).status == 0
    assert Artifacts(home / "artifacts").read(annotations(fedwright, "third")[ANNOTATION]) == b'{"more": 1}\n'


def test_a_request_that_searches_nothing_names_no_lessons(fedwright: Person, manifest: Manifest, home: Path) -> None:
    with scripted(script=TEACHES):
        assert fedwright("run", manifest()).status == 0
    assert fedwright("apply", manifest(name="later", file="later.yaml")).status == 0
    assert annotations(fedwright, "later") == {}
