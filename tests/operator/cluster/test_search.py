"""A search of the web on its way: from the request to the planner's program and its allowance, or to one clear refusal."""

import json
import time
from pathlib import Path

import pytest
import yaml
from operator_core import SETTINGS
from world import World, wish

from fedwright_crds.allowance import verify
from fedwright_crds.documents import PlanOutput
from fedwright_crds.intent import frozen_digest
from fedwright_crds.work import Work
from fedwright_operator.cluster.config import ModelSettings, OperatorConfig
from fedwright_operator.cluster.models import secrets_for
from fedwright_operator.cluster.search import NoSearchError

SECRET = b"a-secret-of-the-tests-0123456789"
MODEL = {"name": "fast", "model": "openai/some-model"}
WEB = {"name": "web", "provider": "tavily", "key": {"environment": "SOME_KEY"}}


def config(folder: Path, search: list[dict[str, object]]) -> OperatorConfig:
    (folder / "profiles.yaml").write_text(yaml.safe_dump({"profiles": [MODEL], "search": search}))
    (folder / "secret").write_bytes(SECRET)
    models = ModelSettings(url="http://gateway:8000", profiles=folder / "profiles.yaml", secret=folder / "secret")
    return OperatorConfig(boxes=SETTINGS, models=models)


def minds(**changes: str) -> dict[str, object]:
    return {"minds": {"planner": "fast", "coder": "fast", **changes}, "budgets": {"tokens": 1000}}


def works_of(world: World) -> dict[str, Work]:
    """Those of minds, by role, until there is a plan and its first code."""
    found: dict[str, Work] = {}

    def noted(role: str):  # type: ignore[no-untyped-def]
        def answer(self: World, work: Work):  # type: ignore[no-untyped-def]
            if work.steps[0].program[1] == "fast":  # baselines are the catalogue's code
                found[role] = work
            return getattr(World, f"answer_{role}")(self, work)

        return answer

    world.script |= {role: noted(role) for role in ("plan", "code")}
    for _ in range(200):
        if len(found) == 2 or not world.step():
            break
    return found


def test_the_planner_alone_is_told_and_allowed_to_search(tmp_path: Path) -> None:
    world = World(wish(**minds(search="web")))
    works, given = works_of(world), secrets_for(config(tmp_path, [WEB]))
    assert works["plan"].steps[0].program == ("fedwright_agents.programs.plan", "fast", "web")
    assert works["code"].steps[0].program == ("fedwright_agents.programs.code", "fast")
    allowed = {
        role: verify(json.loads(given(work, world.request)["gateway.json"])["token"], SECRET, time.time()).search
        for role, work in works.items()
    }
    assert allowed == {"plan": "web", "code": None}


def test_a_search_profile_that_the_gateway_lacks_is_refused_before_a_pod_starts(tmp_path: Path) -> None:
    world = World(wish(**minds(search="web")))
    work = works_of(world)["plan"]
    with pytest.raises(NoSearchError) as caught:
        secrets_for(config(tmp_path, []))(work, world.request)
    assert str(caught.value) == (
        "the request names the search profile web, and the gateway has none; add it to models.search in the chart's values,"
        " or apply the request without spec.minds.search"
    )
    assert isinstance(caught.value, LookupError), "what `Works` makes the work's failure of"
    with pytest.raises(NoSearchError, match="and the gateway has own; add it"):
        secrets_for(config(tmp_path, [{**WEB, "name": "own"}]))(work, world.request)


def test_where_it_is_off_work_and_spec_are_what_they_were(tmp_path: Path) -> None:
    off, on = (World(wish(**minds(**changes))) for changes in ({}, {"search": "web"}))
    works, searching = works_of(off)["plan"], works_of(on)["plan"]
    assert works.steps[0].program == ("fedwright_agents.programs.plan", "fast")
    assert works.id != searching.id and works.inputs == searching.inputs
    assert "search" not in off.request.spec.minds.to_wire()
    assert frozen_digest(off.request.spec) != frozen_digest(on.request.spec)
    token = json.loads(secrets_for(config(tmp_path, []))(works, off.request)["gateway.json"])["token"]
    assert verify(token, SECRET, time.time()).search is None


def test_the_plan_that_comes_back_is_read_like_any_other() -> None:
    world = World(wish(**minds(search="web")))
    work = works_of(world)["plan"]
    output = PlanOutput.model_validate_json(world.artifacts[world.results[work.id].outputs["plan.json"]])
    assert output.plan is not None
