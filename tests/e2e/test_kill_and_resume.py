"""SIGKILL of everything at any moment costs the work in flight and nothing else."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from whole_requests import command, processes_about, result, run, write_request

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
