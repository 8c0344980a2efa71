"""Forked children: tied to their parent, watched in units, started again after pauses that grow."""

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from real_fleet import alive

from fedwright_federation.flower import supervision
from fedwright_federation.flower.processes import reap, signal_group, spawn
from fedwright_federation.flower.supervision import Attendance, Unit


def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def status_of(pid: int) -> int:
    found: list[int] = []
    until(lambda: (status := reap(pid)) is not None and (found.append(status) or True))
    return found[0]


def sleep_on() -> None:
    time.sleep(60)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (lambda: None, 0),
        (lambda: sys.exit(7), 7),
        (lambda: 1 / 0, 1),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), -9),
    ],
)
def test_a_childs_end_says_how(tmp_path: Path, body: Callable[[], None], status: int) -> None:
    assert status_of(spawn("child", body, tmp_path / "log")) == status


def test_a_child_writes_to_its_log_and_has_its_environment(tmp_path: Path) -> None:
    def speak() -> None:
        os.write(2, os.environ["WORD"].encode())

    pid = spawn("child", speak, tmp_path / "logs" / "log", {"WORD": "heard"})
    assert status_of(pid) == 0
    assert "heard" in (tmp_path / "logs" / "log").read_text()
    assert "WORD" not in os.environ


def test_children_die_with_their_parent(tmp_path: Path) -> None:
    def parent() -> None:
        child = spawn("grandchild", sleep_on, tmp_path / "log")
        (tmp_path / "pid").write_text(str(child))
        sleep_on()

    pid = spawn("parent", parent, tmp_path / "log")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    grandchild = int((tmp_path / "pid").read_text())
    os.kill(pid, signal.SIGKILL)
    assert status_of(pid) == -signal.SIGKILL
    until(lambda: not alive({grandchild}))


def test_a_unit_lives_and_dies_as_one(tmp_path: Path) -> None:
    unit = Unit("pair", lambda: {name: partial(spawn, name, sleep_on, tmp_path / "log") for name in ("one", "two")})
    unit.tend()
    first = dict(unit.pids)
    signal_group(first["two"], signal.SIGKILL)
    until(lambda: unit.tend() or not unit.up)
    assert not alive(set(first.values())) and "two ended with SIGKILL" in unit.last_end
    until(lambda: unit.tend() or unit.up)
    assert unit.restarts == 1 and not set(first.values()) & set(unit.pids.values())
    unit.end()
    assert not unit.up


def test_pauses_between_starts_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(supervision.time, "monotonic", lambda: clock[0])
    unit = Unit("brief", lambda: {"brief": lambda: spawn("brief", lambda: None, tmp_path / "log")})
    starts: list[float] = []
    for _ in range(400):
        unit.tend()
        if unit.up:
            starts.append(clock[0])
            os.waitid(os.P_PID, unit.pids["brief"], os.WEXITED | os.WNOWAIT)
            unit.tend()
        clock[0] += 0.1
    pauses = [round(b - a, 1) for a, b in pairwise(starts)]
    assert (
        pauses[:4] == pytest.approx([0.2, 0.4, 0.8, 1.6], abs=0.11)
        and max(pauses) <= supervision.LONGEST_PAUSE_SECONDS + 0.1
    )


def test_who_runs_but_is_not_seen_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(supervision.time, "monotonic", lambda: clock[0])
    units = {
        name: Unit(str(name), lambda: {"one": partial(spawn, "one", sleep_on, tmp_path / "log")}) for name in (1, 2, 3)
    }
    for name in (1, 2):
        units[name].tend()
    attendance, missed = Attendance(10.0), []
    for _ in range(25):
        missed += [(clock[0], unit.name) for unit in attendance.missed(units, {1})]
        clock[0] += 1.0
    assert missed == [(111.0, "2"), (122.0, "2")]  # 1 is seen, and 3 is not up
    for unit in units.values():
        unit.end()
