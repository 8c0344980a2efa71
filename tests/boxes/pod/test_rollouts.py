"""Platform steps run our own programs: they are heard while they run, and are told to end before they are killed."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fedwright_boxes import memory
from fedwright_boxes.pod.contract import EXIT_CODES, GRACE_SECONDS
from fedwright_crds.work import BoxKind, Reason, Step

from .conftest import NEWEST, Pod, pod_of

TOLD = ['{"round": 1, "accuracy": 0.5}\n', "said of others: ?[2J\n"]
"""What a terminal would obey is made harmless."""


def rollout(*words: str, box: BoxKind = BoxKind.PLATFORM, **more: object) -> Step:
    return Step(name="deploy", box=box, program=("rollout", *words), **{"wall_seconds": 60.0, **more})


def going(pod: Pod) -> subprocess.Popen[str]:
    """A rollout that has told how far it is."""
    process = pod.launch("deploy", abi=NEWEST)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in TOLD] == TOLD
    return process


def tell_to_end(process: subprocess.Popen[str]) -> None:
    """As a kubelet does: the container's first process is told, and no other."""
    (launcher,) = memory.children(process.pid)
    os.kill(launcher, signal.SIGTERM)


def test_a_rollout_is_heard_while_it_runs_and_leaves_things_in_order_when_it_is_told_to_end(folder: Path) -> None:
    pod = pod_of(folder, rollout())
    process = going(pod)
    tell_to_end(process)
    container = pod.ended("deploy", process)
    assert (container.out, container.code) == ("left in order\n", EXIT_CODES[Reason.PLATFORM])
    assert (container.verdict.reason, container.ending.message) == (Reason.PLATFORM, "stopped")
    assert container.verdict.exit_code == 128 + signal.SIGTERM
    assert container.verdict.text.endswith("left in order\n")


@pytest.mark.slow
def test_a_rollout_that_does_not_end_is_killed_when_its_grace_is_over(folder: Path) -> None:
    pod = pod_of(folder, rollout("deaf"))
    process = going(pod)
    began = time.monotonic()
    tell_to_end(process)
    container = pod.ended("deploy", process)
    grace = GRACE_SECONDS[BoxKind.PLATFORM]
    assert grace <= time.monotonic() - began < grace + 10.0
    assert (container.verdict.reason, container.ending.message) == (Reason.PLATFORM, "stopped")


def test_a_rollout_whose_time_is_over_leaves_things_in_order_too(folder: Path) -> None:
    container = pod_of(folder, rollout(wall_seconds=3.0)).run("deploy", abi=NEWEST)
    assert container.verdict.reason == Reason.DEADLINE_EXCEEDED
    assert container.out.endswith("left in order\n")


@pytest.mark.parametrize("box", [BoxKind.BENCH, BoxKind.JUDGE, BoxKind.MIND])
def test_no_other_box_is_heard_or_told(folder: Path, box: BoxKind) -> None:
    container = pod_of(folder, rollout(box=box, wall_seconds=3.0)).run("deploy", abi=NEWEST)
    assert container.verdict.reason == Reason.DEADLINE_EXCEEDED
    assert (container.out, "left in order" in container.verdict.text) == ("", False)
    assert '{"round": 1' in container.verdict.text


def test_a_quiet_rollout_is_not_heard(folder: Path) -> None:
    assert pod_of(folder, rollout(wall_seconds=3.0, quiet=True)).run("deploy", abi=NEWEST).out == ""
