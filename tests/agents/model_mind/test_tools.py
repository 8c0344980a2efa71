"""What a planner may look up: the knowledge base, with the lessons that its request was given and no others."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedwright_agents.catalogue_mind.variants import Situation
from fedwright_agents.model_mind import tools
from fedwright_agents.model_mind.tools import PlannersTools
from fedwright_crds.documents import DataFacts
from fedwright_crds.request import RequestSpec
from fedwright_crds.task import ModelSpec
from fedwright_federation.catalogue import catalogue

LESSON = {
    "request": "earlier",
    "data": "Digits",
    "partition": "Pathological",
    "circumstances": ["LabelSkew"],
    "architecture": "Mlp",
    "clients": 20,
    "rounds": 40,
    "participation": 0.25,
    "method": "scaffold",
    "metric": "Accuracy",
    "verdict": "Won",
    "value": 0.961,
    "baseline": 0.893,
}
QUESTION = json.dumps({"query": "What won on handwritten digits in an earlier request, against tuned FedAvg?"})


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("FEDWRIGHT_BOX", str(tmp_path))
    (tmp_path / "in").mkdir()
    tools._knowledge.cache_clear()
    yield tmp_path
    tools._knowledge.cache_clear()


@pytest.fixture
def toolbox(spec: RequestSpec, facts: DataFacts) -> PlannersTools:
    return PlannersTools(Situation(catalogue(), facts, spec, ModelSpec()))


def test_a_planner_finds_what_earlier_requests_taught_as_quoted_data(box: Path, toolbox: PlannersTools) -> None:
    unreadable = json.dumps({**LESSON, "method": "of-another-version"})
    (box / "in" / "lessons.jsonl").write_text(f"{json.dumps(LESSON)}\n{unreadable}\n")
    told = toolbox.call("search_knowledge", QUESTION)
    assert "| Source: request earlier" in told and "SCAFFOLD on digits: won" in told
    assert "Accuracy, global: 0.961, tuned FedAvg 0.893" in told
    assert all(line.startswith(("| ", "retrieved text")) for line in told.splitlines())


def test_without_lessons_it_searches_what_ships(box: Path, toolbox: PlannersTools) -> None:
    told = toolbox.call("search_knowledge", QUESTION)
    assert "Source:" in told and "request earlier" not in told
