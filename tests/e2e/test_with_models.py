"""A whole request with language models behind its roles, over HTTP: new code, to a deployed winner; then from its recording."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from model_minds import role_player
from scripted_provider import ScriptedProvider
from whole_requests import command, processes_about, result, write_request

from fedwright_operator.cli import main

KEY = "sk-sentinel-5f1d0a7c9e"
MODEL = "openai/scripted"


@pytest.fixture
def provider(tmp_path: Path) -> ScriptedProvider:
    found = ScriptedProvider({"scripted": role_player})
    profile = {"name": "scripted", "model": MODEL, "apiBase": found.url, "key": {"environment": "SENTINEL_KEY"}}
    (tmp_path / "profiles.yaml").write_text(yaml.safe_dump({"profiles": [profile]}))
    return found


def request(folder: Path) -> Path:
    roles = dict.fromkeys(["planner", "coder", "debugger", "reflector"], "scripted")
    return write_request(
        folder,
        minds={**roles, "reviewers": ["scripted", "scripted", "catalogue"]},
        budgets={"tokens": 400_000},
        search={"catalogueMethods": 0, "planCandidates": 1, "proposals": 1, "topK": 1, "generations": 1, "trials": 2},
        deployment={"enabled": True, "nodes": 2, "rounds": 2},
    )


def run(folder: Path, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "FEDWRIGHT_PROFILES": str(folder / "profiles.yaml"), **environment}
    return subprocess.run(
        command(request(folder), home), env=given, capture_output=True, text=True, timeout=400, check=False
    )


@pytest.mark.slow
def test_models_write_what_wins_and_a_recording_does_it_again(
    tmp_path: Path, provider: ScriptedProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    ended = run(tmp_path, home, SENTINEL_KEY=KEY)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    answer = result(home)
    assert answer["winner"]["title"] == "Own control variates"
    assert 0 < answer["spent"]["tokens"] <= 400_000
    roles = {one["role"]: one for one in answer["spent"]["roles"]}
    assert {"plan", "code", "debug", "reflect", "review"} == roles.keys()
    assert answer["spent"]["tokens"] == sum(one["tokens"] for one in roles.values())
    assert answer["spent"]["calls"] == len(provider.received)
    report = (home / "report.html").read_text()
    assert "Models, by role" in report and "Debugger" in report
    assert (home / "knowledge" / "lessons.jsonl").exists()
    assert json.loads((home / "deployment" / "metrics.json").read_text())["rounds"]
    assert len(provider.received) > 5
    assert all(
        {name.lower(): value for name, value in one.headers.items()}["authorization"] == f"Bearer {KEY}"
        for one in provider.received
    )
    assert holders_of(KEY, home) == []
    assert processes_about(home) == []
    provider.close()

    assert main(["transcript", "small", "--home", str(home)]) == 0
    told = capsys.readouterr().out
    assert "#1 plan by scripted" in told and "debug for small-p1" in told and "What the roles cost" in told

    again = tmp_path / "again"
    replayed = run(tmp_path, again, FEDWRIGHT_REPLAY=str(home / "models" / "transcripts"))
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert result(again)["winner"] == answer["winner"] and result(again)["primary"] == answer["primary"]


def holders_of(word: str, folder: Path) -> list[str]:
    return [str(file) for file in folder.rglob("*") if file.is_file() and word.encode() in file.read_bytes()]
