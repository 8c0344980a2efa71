"""From the wish to the answer, in real boxes and on a real federation."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from whole_requests import EXAMPLES, command, processes_about, result, run, write_request

from fedwright_boxes import sandbox_available


@pytest.fixture(autouse=True)
def _a_sandbox_is_needed() -> None:
    assert sandbox_available() is None, "these tests run generated code and need a sandbox"


@pytest.mark.slow
def test_a_request_goes_all_the_way_to_a_model_from_a_real_federation(tmp_path: Path) -> None:
    home = tmp_path / "home"
    request = write_request(tmp_path, deployment={"enabled": True, "nodes": 2, "rounds": 2})
    ended = run(request, home)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    answer = result(home)
    assert answer["winner"] and answer["primary"]["difference"] > 0 and answer["primary"]["freshSeeds"] == 10
    assert answer["verdict"] == ended.stdout.strip().splitlines()[-1]
    metrics = json.loads((home / "deployment" / "metrics.json").read_text())
    assert [one["round"] for one in metrics["rounds"]] == [1, 2]
    with np.load(home / "model.npz", allow_pickle=False) as model:
        assert all(np.isfinite(model[key]).all() for key in model.files)
    assert "<svg" in (home / "report.html").read_text()
    assert (home / "code" / answer["winner"]["candidate"] / "strategy.py").exists()
    assert processes_about(home) == []


KILLS = (2.0, 5.0, 3.0)
"""Seconds from each start to the kill."""
IN_FLIGHT = 2
"""Works at one time: what a kill may cost."""


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_it_ends_with_the_same_winner(tmp_path: Path) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    request = write_request(tmp_path)
    assert run(request, unbroken).returncode == 0
    for seconds in KILLS:
        _killed_after(seconds, command(request, broken))
        assert _gone(broken), processes_about(broken)
    ended = run(request, broken)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    first, second = result(unbroken), result(broken)
    for key in ("winner", "baseline", "bestCatalogue", "primary"):
        assert first[key] == second[key]
    starts = [json.loads(line)["id"] for line in (broken / "works" / "started.jsonl").read_text().splitlines()]
    again = len(starts) - len(set(starts))
    assert again <= len(KILLS) * IN_FLIGHT, "work that had finished was started again"


def _killed_after(seconds: float, words: list[str]) -> None:
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _gone(home: Path) -> bool:
    """Children die with their parent; the kernel takes a moment."""
    end = time.monotonic() + 10
    while processes_about(home) and time.monotonic() < end:
        time.sleep(0.1)
    return not processes_about(home)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("example", "method"),
    [("scaffold-label-skew", "scaffold"), ("fedbn-feature-shift", "fedbn"), ("fedpaq-bytes", "fedpaq")],
)
def test_methods_known_to_win_win(example: str, method: str, tmp_path: Path) -> None:
    ended = run(EXAMPLES / f"{example}.yaml", tmp_path / "home", seconds=800)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    winner = result(tmp_path / "home")["winner"]
    assert winner is not None, ended.stdout
    assert method in json.dumps(winner).lower()


@pytest.mark.slow
def test_eight_fedavgs_under_other_names_are_no_improvement(tmp_path: Path) -> None:
    ended = run(EXAMPLES / "null.yaml", tmp_path / "home")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    answer = result(tmp_path / "home")
    assert answer["phase"] == "NoImprovement" and answer["winner"] is None
