"""`fedwright bench` over real boxes: a small task of one's own, beside FedProx and the method that was made for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from model_minds import role_player
from scripted_provider import ScriptedProvider
from whole_requests import SMALL, processes_about


def a_task(folder: Path, search: dict[str, int]) -> Path:
    file = folder / "task.yaml"
    task = {
        "apiVersion": "fedwright.dev/v1alpha1",
        "kind": "FLStrategyRequest",
        "metadata": {"name": "one-label", "annotations": {"fedwright.dev/specialist": "scaffold"}},
        "spec": {**SMALL, "search": search, "interaction": {}, "budgets": {"tokens": 100_000}},
    }
    file.write_text(yaml.safe_dump(task))
    return file


@pytest.mark.slow
def test_a_small_task_is_run_and_compared_and_not_run_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    search = {"catalogueMethods": 1, "planCandidates": 0, "proposals": 0, "generations": 0, "trials": 2}
    file = a_task(tmp_path, search)
    words = [sys.executable, "-m", "fedwright_operator", "bench", str(file), "--seeds", "1", "-o", "json"]
    first = subprocess.run([*words, "--home", str(home)], capture_output=True, text=True, timeout=400, check=False)
    assert first.returncode == 0, first.stderr[-3000:]
    (found,) = json.loads(first.stdout)
    assert (found["ended"], found["answered"]) == (1, 1)
    against = found["against"]
    assert against.keys() == {"fedavg", "fedprox", "scaffold"}
    assert all(one["low"] <= one["difference"] <= one["high"] and one["pairs"] == 10 for one in against.values())
    assert against["fedprox"]["difference"] > 0.02, "one label a client and long local work: SCAFFOLD's own ground"
    assert abs(against["scaffold"]["difference"]) < 0.05, "the same method, tuned by the same trials"
    before = (home / "works" / "started.jsonl").read_text()
    again = subprocess.run([*words, "--home", str(home)], capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(again.stdout) == [found]
    assert (home / "works" / "started.jsonl").read_text() == before
    assert processes_about(home) == []


@pytest.mark.slow
def test_the_same_command_runs_a_model_and_says_what_it_took(tmp_path: Path) -> None:
    home, provider = tmp_path / "home", ScriptedProvider({"scripted": role_player})
    search = {"catalogueMethods": 0, "planCandidates": 1, "proposals": 0, "generations": 0, "topK": 1, "trials": 2}
    file = a_task(tmp_path, search)
    price = {"inputUsd": 1.0, "outputUsd": 2.0}
    profile = {"name": "scripted", "model": "openai/scripted", "apiBase": provider.url, "price": price}
    (tmp_path / "profiles.yaml").write_text(yaml.safe_dump({"profiles": [profile]}))
    environment = {**os.environ, "FEDWRIGHT_PROFILES": str(tmp_path / "profiles.yaml")}
    words = [sys.executable, "-m", "fedwright_operator", "bench", str(file), "--seeds", "1", "-o", "json"]
    words += ["--profile", "scripted", "--home", str(home)]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    (found,) = json.loads(ended.stdout)
    assert (found["mind"], found["answered"]) == ("scripted", 1)
    (run,) = found["runs"]
    assert run["answer"] == "Own control variates"
    assert run["calls"] == len(provider.received) and run["tokens"] > 0 and run["moneyUsd"] > 0
    assert found["against"].keys() == {"fedavg", "fedprox", "scaffold"}
    assert processes_about(home) == []
    provider.close()
