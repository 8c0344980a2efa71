"""A search of the web on one machine: the gateway that is started has its key, and the planner may ask for it."""

import json
from pathlib import Path

import httpx
import pytest
import yaml
from scripted_search import FOUND, ScriptedSearch
from world import IMAGES, wish

from fedwright_crds.base import digest_of
from fedwright_crds.work import Input
from fedwright_operator.local.home import Home
from fedwright_operator.local.models import Models
from fedwright_operator.local.store import Store
from fedwright_operator.reconcile.works import mind_work

KEY = "sentinel-key-of-searches-0123"


@pytest.mark.slow
def test_a_planner_searches_by_the_gateway_of_its_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, home = ScriptedSearch(), Home(tmp_path)
    model = {"name": "fast", "model": "openai/some-model", "apiBase": "http://127.0.0.1:9/v1"}
    web = {"name": "web", "endpoint": {"url": server.url("web")}, "key": {"environment": "SEARCH_KEY"}}
    (tmp_path / "profiles.yaml").write_text(yaml.safe_dump({"profiles": [model], "search": [web]}))
    monkeypatch.setenv("SEARCH_KEY", KEY)
    home.models.mkdir(parents=True)
    request = wish(minds={"planner": "fast", "search": "web"}, budgets={"tokens": 1000})
    Store(home.resources).create(request)
    work = mind_work("plan", "fast", Input(name="a", digest=digest_of(b"")), IMAGES, (), "web")
    labels = {"kind": "FLStrategyRequest", "name": "wish", "namespace": "default"}
    models = Models(home)
    try:
        given = json.loads(models.secrets(work.model_copy(update={"labels": labels}), work.steps[0])["gateway.json"])
        answer = httpx.post(
            f"{given['url']}/v1/search",
            json={"query": "what is newer"},
            headers={"authorization": f"Bearer {given['token']}"},
            trust_env=False,
        )
    finally:
        models.close()
        server.close()
    assert answer.json() == {"results": list(FOUND)}
    assert server.asked("web")[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in json.dumps(given)
