"""The planner's program searches a real server through a real gateway, and does it again from the recording, with neither."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateways import SECRET, Gateway, Place, allowance, prepare
from scripted_provider import Handler, Json, ScriptedProvider, answer
from scripted_search import ScriptedSearch, results

from fedwright_agents import minds
from fedwright_crds.allowance import sign
from fedwright_crds.documents import DataFacts, PlanInput, PlanOutput
from fedwright_crds.request import CATALOGUE, RequestSpec

KEY = "sentinel-key-of-searches-0123"
URL = "https://example.org/control-variates"
PLAN = {
    "summary": "One label a client.",
    "candidates": [
        {
            "title": "Own control variates",
            "method": "fedavg",
            "parts": [{"slot": "gradients", "name": "Correct", "reason": "takes each client's own direction out"}],
            "hypothesis": "With its mean gradient taken out a client's drift is gone.",
            "source": URL,
        }
    ],
}


def planner(handler: Handler, body: Json, before: int) -> None:
    """Searches, then plans; it heard what the search has found."""
    results = [one for one in body["messages"] if one["role"] == "tool"]
    if results:
        assert URL in results[0]["content"]
        return answer(json.dumps(PLAN))(handler, body, before)
    function = {"name": "search_web", "arguments": json.dumps({"query": "control variates, newer than SCAFFOLD"})}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": function}],
    }
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return answer(choices=[choice])(handler, body, before)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[ScriptedProvider, ScriptedSearch]]:
    provider, search = ScriptedProvider({"planner": planner}), ScriptedSearch()
    search.scripts["web"] = results({"title": f"Variates {KEY}", "url": URL, "snippet": "Newer than SCAFFOLD."})
    yield provider, search
    provider.close()
    search.close()


def place_at(folder: Path, model: str, search: str, environment: dict[str, str]) -> Place:
    profile = {"name": "fast", "model": "openai/planner", "apiBase": model}
    web = {"name": "web", "endpoint": {"url": search}, "key": {"environment": "WEB_KEY"}, "priceUsd": 0.01}
    return prepare(folder, [profile], environment, [web])


def run(gateway: Gateway, box: Path, given: PlanInput, search: str | None = "web") -> subprocess.CompletedProcess[str]:
    """The program as the shell starts it, in a box of its own."""
    for name in ("in", "out", "secret"):
        (box / name).mkdir(parents=True)
    (box / "in" / "plan-input.json").write_text(json.dumps(given.to_wire()))
    token = sign(allowance("fast", role="plan", search=search, request_uid="r"), SECRET)
    (box / "secret" / "gateway.json").write_text(json.dumps({"url": gateway.url, "token": token}))
    return subprocess.run(
        [sys.executable, "-m", "fedwright_agents.programs.plan", "fast", "web"],
        env={**os.environ, "FEDWRIGHT_BOX": str(box)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
def test_a_plan_cites_what_the_web_said_and_comes_again_from_its_recording(
    servers: tuple[ScriptedProvider, ScriptedSearch], spec: RequestSpec, facts: DataFacts, tmp_path: Path
) -> None:
    provider, search = servers
    given = PlanInput(request="r", spec=spec, facts=facts)
    live = place_at(tmp_path / "live", provider.url, search.url("web"), {"WEB_KEY": KEY})
    with live.gateway() as gateway:
        ended = run(gateway, tmp_path / "box", given)
        assert ended.returncode == 0, ended.stderr
        charged = gateway.charged(allowance("fast", role="plan", request_uid="r"))
    once = (tmp_path / "box" / "out" / "plan.json").read_bytes()
    planned = PlanOutput.model_validate_json(once).plan
    assert planned is not None and planned.sources[-1] == URL
    assert search.asked("web")[0].parameters["q"] == ["control variates, newer than SCAFFOLD"]
    assert (charged["calls"], charged["nanoUsd"]) == (3, 10_000_000)
    assert [next(iter(one["asked"])) for one in live.transcripts("r")] == ["messages", "query", "messages"]
    recorded = live.state / "transcripts"

    nowhere = "http://127.0.0.1:9/v1"
    with place_at(tmp_path / "replay", nowhere, nowhere, {}).gateway("--replay", str(recorded)) as gateway:
        ended = run(gateway, tmp_path / "again", given)
        assert ended.returncode == 0, ended.stderr
        assert gateway.charged(allowance("fast", role="plan", request_uid="r"))["nanoUsd"] == charged["nanoUsd"]
    assert (tmp_path / "again" / "out" / "plan.json").read_bytes() == once

    partly = tmp_path / "partly"
    shutil.copytree(recorded, partly)
    (partly / "r" / "000002-plan.json").unlink()
    with place_at(tmp_path / "lacking", nowhere, nowhere, {}).gateway("--replay", str(partly)) as gateway:
        ended = run(gateway, tmp_path / "third", given)
    assert (ended.returncode, "not recorded: plan sha256:" in ended.stderr) == (3, True), ended.stderr

    for file in tmp_path.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
    assert not any(KEY in json.dumps(one.body) for one in provider.received)


def test_only_a_model_that_plans_searches_the_web() -> None:
    for profile, role in ((CATALOGUE, "plan"), ("fast", "code"), ("fast", "review")):
        with pytest.raises(minds.UnknownProfileError, match="cannot search the web; only a model that plans can"):
            minds.role_of(profile, role, "web")
