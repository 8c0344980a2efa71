"""Boxes come and go: cancelled, closed, their zygote or their keeper killed, hundreds of times over."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedwright_boxes import groups
from fedwright_boxes.memory import tree
from fedwright_crds.work import BoxKind, Outcome, Reason, Step, WorkResult

Rig = Any


def sleeper(rig: Rig, seconds: float = 60.0) -> Any:
    return rig.work(Step(name="s", box=BoxKind.BENCH, program=("parts", "sleep", str(seconds)), wall_seconds=90.0))


def in_background(run: Callable[[], WorkResult]) -> tuple[threading.Thread, list[WorkResult]]:
    results: list[WorkResult] = []
    thread = threading.Thread(target=lambda: results.append(run()))
    thread.start()
    return thread, results


def wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def below(process: int) -> set[int]:
    return set(tree(process)) - {process}


def test_a_cancelled_work_ends_at_once(rig: Rig) -> None:
    rig.attack("innocent")
    idle = below(os.getpid())
    cancelled = threading.Event()
    thread, results = in_background(lambda: rig.run(sleeper(rig), cancelled))
    wait_until(lambda: below(os.getpid()) > idle)
    started = time.monotonic()
    cancelled.set()
    thread.join()
    assert time.monotonic() - started < 1.0
    assert (results[0].outcome, results[0].reason) == (Outcome.PLATFORM_ERROR, Reason.PLATFORM)
    assert "cancelled" in results[0].message
    assert below(os.getpid()) <= idle


def test_a_work_that_is_cancelled_before_it_runs_starts_nothing(rig: Rig) -> None:
    cancelled = threading.Event()
    cancelled.set()
    result = rig.run(sleeper(rig), cancelled)
    assert (result.outcome, result.verdicts[0].wall_seconds) == (Outcome.PLATFORM_ERROR, 0.0)


def test_closing_ends_what_runs_and_leaves_no_process(make_rig: Any) -> None:
    idle = below(os.getpid())
    rig = make_rig()
    thread, results = in_background(lambda: rig.run(sleeper(rig)))
    wait_until(lambda: len(below(os.getpid()) - idle) >= 4)
    rig.boxes.close()
    thread.join()
    assert results[0].outcome == Outcome.PLATFORM_ERROR
    wait_until(lambda: not [process for process in below(os.getpid()) - idle if alive(process)], 5.0)
    assert rig.run(sleeper(rig)).outcome == Outcome.PLATFORM_ERROR


def test_more_works_than_slots_wait_their_turn(make_rig: Any) -> None:
    rig = make_rig(slots=1)
    works = [in_background(lambda: rig.run(sleeper(rig, 0.2))) for _ in range(3)]
    for thread, _ in works:
        thread.join()
    verdicts = [results[0].verdicts[0] for _, results in works]
    assert [verdict.reason for verdict in verdicts] == [Reason.COMPLETED] * 3
    assert all(verdict.wall_seconds < 0.5 for verdict in verdicts)


def test_a_zygote_that_dies_takes_its_work_with_it_and_is_replaced(make_rig: Any) -> None:
    idle = below(os.getpid())
    rig = make_rig()
    thread, results = in_background(lambda: rig.run(sleeper(rig)))
    wait_until(lambda: len(below(os.getpid()) - idle) >= 4)
    family = below(os.getpid()) - idle
    os.kill(sorted(family)[-2], signal.SIGKILL)  # the youngest is the cell, its parent the zygote
    thread.join(20)
    assert (results[0].outcome, results[0].reason) == (Outcome.PLATFORM_ERROR, Reason.PLATFORM)
    wait_until(lambda: not [process for process in family if alive(process)], 5.0)
    assert rig.attack("innocent")[0].reason == Reason.COMPLETED


def test_a_zygote_that_cannot_start_says_why(make_rig: Any, tmp_path: Path) -> None:
    """It refuses to fork with a second thread, whose locks a cell would inherit without their owner."""
    tmp_path.joinpath("fedwright_extra.py").write_text("")
    tmp_path.joinpath("optuna.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    tmp_path.chmod(0o755)
    rig = make_rig(extra_code={BoxKind.MIND: (tmp_path,)})
    result = rig.run(rig.work(Step(name="s", box=BoxKind.MIND, program=("parts", "nothing"))))
    assert (result.outcome, result.reason) == (Outcome.PLATFORM_ERROR, Reason.PLATFORM)
    assert "2 threads after the imports" in result.message


@pytest.mark.parametrize("fleet", [0, 3])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_keeper_that_is_killed_leaves_no_process(tmp_path: Path, how: signal.Signals, fleet: int) -> None:
    program = Path(__file__).parent / "programs" / "keeper.py"
    keeper = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path), str(fleet)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        wait_until(lambda: len(below(keeper.pid)) >= (4 + fleet if fleet else 6))
        family = below(keeper.pid)
    finally:
        keeper.send_signal(how)
        keeper.communicate(timeout=20)
    wait_until(lambda: not [process for process in family if alive(process)], 5.0)
    groups.sweep()
    assert not list(groups_of(keeper.pid))


def groups_of(keeper: int) -> list[Path]:
    """By a walk that goes on where others' groups vanish under it."""
    folders = (Path(folder) for folder, *_ in os.walk("/sys/fs/cgroup"))
    return [one for one in folders if one.name.startswith(f"fedwright-{keeper}-")]


def test_two_hundred_works_leak_no_descriptor_and_no_group(rig: Rig) -> None:
    work = rig.work(Step(name="s", box=BoxKind.BENCH, program=("parts", "nothing")))
    rig.run(work)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (a moving folder: names alone)
    for _ in range(200):
        assert rig.run(work).outcome == Outcome.SUCCEEDED
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert not groups_of(os.getpid())


def test_a_zygote_that_cannot_even_be_launched_is_an_error_and_not_a_wait(
    make_rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig()
    with monkeypatch.context() as patched:
        patched.setattr("tempfile.tempdir", "/no/such/folder")
        result = rig.run(sleeper(rig))
    assert (result.outcome, result.reason) == (Outcome.PLATFORM_ERROR, Reason.PLATFORM)
    assert "No such file or directory" in result.message
    assert rig.run(sleeper(rig, 0.0)).outcome == Outcome.SUCCEEDED
