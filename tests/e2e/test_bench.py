"""`fedwright bench` over real boxes: a small task of one's own, beside FedProx and the method that was made for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from whole_requests import SMALL, processes_about


@pytest.mark.slow
def test_a_small_task_is_run_and_compared_and_not_run_again(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "task.yaml"
    search = {"catalogueMethods": 1, "planCandidates": 0, "proposals": 0, "generations": 0, "trials": 2}
    task = {
        "apiVersion": "fedwright.dev/v1alpha1",
        "kind": "FLStrategyRequest",
        "metadata": {"name": "one-label", "annotations": {"fedwright.dev/specialist": "scaffold"}},
        "spec": {**SMALL, "search": search, "interaction": {}},
    }
    file.write_text(yaml.safe_dump(task))
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
