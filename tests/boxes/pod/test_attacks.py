"""What generated code tries from a bench in a pod, and what it gets."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedwright_boxes.groups import Group
from fedwright_boxes.pod.contract import EXIT_CODES
from fedwright_crds.work import MIB, BoxKind, Handover, Output, Reason, Step

from .conftest import NEWEST, Container, pod_of

Attack = Callable[..., tuple[Container, Any]]
BEFORE_SIGNALS = 5
"""The last version of Landlock that does not know signals."""
REFUSED = {"EACCES", "EPERM", "EXDEV"}


# ---- reading and writing ---------------------------------------------------------------------------------------


def test_nothing_but_the_own_box_and_programs_is_read(attack: Attack) -> None:
    _, found = attack("read_everything", inputs={"secret": b"of the volume"})
    assert len(found) > 60
    assert {path for path, answer in found.items() if answer == "ok"} == set()
    _, found = attack("follow_links")
    assert "ok" not in found.values(), found


def test_nothing_of_the_containers_environment_comes_in(attack: Attack) -> None:
    _, found = attack("environment_of_the_container")
    assert not [name for name in found if "KUBERNETES" in name or "KEY" in name]
    assert found["FEDWRIGHT_BOX"].startswith("/box/")


def test_what_lies_beside_the_allowed_packages_is_closed(attack: Attack) -> None:
    """Also in an image that holds it."""
    _, found = attack("import_what_is_not_allowed")
    assert set(found.values()) == {"closed"}


def test_nothing_is_written_but_the_own_box(attack: Attack) -> None:
    container, found = attack("write_everywhere")
    assert {path for path, answer in found.items() if answer == "ok"} == set()
    assert container.verdict.reason == Reason.COMPLETED


# ---- other processes -------------------------------------------------------------------------------------------


def test_neither_the_launcher_nor_the_zygote_can_be_touched(attack: Attack) -> None:
    container, found = attack("touch_processes")
    assert {name for name, answer in found.items() if answer == "ok"} == set()
    assert container.verdict.reason == Reason.COMPLETED


def test_what_an_honest_program_asks_of_itself_works(attack: Attack) -> None:
    assert attack("own_limits")[1] == ["ok", "through", "ok"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_zygote_that_is_killed_from_inside_is_no_success(attack: Attack, number: int) -> None:
    container, _ = attack("kill_the_zygote", str(int(number)), abi=BEFORE_SIGNALS)
    assert (container.verdict.reason, container.code) == (Reason.PLATFORM, EXIT_CODES[Reason.PLATFORM])


@pytest.mark.slow
def test_a_zygote_that_is_stopped_from_inside_is_no_success(attack: Attack) -> None:
    container, _ = attack("kill_the_zygote", str(int(signal.SIGSTOP)), abi=BEFORE_SIGNALS, wall_seconds=1.0)
    assert container.verdict.reason == Reason.DEADLINE_EXCEEDED


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGUSR1])
def test_the_first_process_cannot_be_killed_from_inside(attack: Attack, number: int) -> None:
    container, answer = attack("kill_the_launcher", str(int(number)), abi=BEFORE_SIGNALS)
    assert (container.verdict.reason, answer) == (Reason.COMPLETED, "ok")


def test_a_launcher_that_is_told_to_stop_from_inside_does_not_succeed(attack: Attack) -> None:
    container, _ = attack("kill_the_launcher", str(int(signal.SIGTERM)), abi=BEFORE_SIGNALS)
    assert (container.verdict.reason, container.ending.message) == (Reason.PLATFORM, "stopped")


# ---- channels --------------------------------------------------------------------------------------------------


def test_pairs_are_the_only_sockets_and_have_no_address(attack: Attack) -> None:
    _, found = attack("sockets")
    assert set(found.values()) <= REFUSED | {"EAFNOSUPPORT"}


def test_dangerous_system_calls_are_refused(attack: Attack) -> None:
    """Among them those for shared memory and queues, which live longer than a process."""
    _, found = attack("system_calls")
    assert len(found) > 70
    assert {name for name, answer in found.items() if answer == "ok"} <= {"pidfd_open"}


def test_no_power_is_left(attack: Attack) -> None:
    _, found = attack("powers")
    assert found["capabilities"] == [0] * 6
    assert (found["no new privileges"], found["seccomp"]) == (1, 2)


def test_members_of_a_fleet_meet_nowhere_but_at_their_parent(folder: Path) -> None:
    shards = Step(name="shards", box=BoxKind.BENCH, program=("shards", "2"), writes=("shards",))
    fleet = Step(
        name="fleet", box=BoxKind.BENCH, program=("spies",), reads=("shards",), writes=("checkpoint",), outputs=("sum",),
        fleet=2, wall_seconds=30.0,
    )  # fmt: skip
    handovers = tuple(Handover(name=name, max_bytes=MIB) for name in ("shards", "checkpoint"))
    pod = pod_of(folder, shards, fleet, handovers=handovers, outputs=(Output(name="sum", max_bytes=MIB),))
    assert pod.run("shards", abi=NEWEST).code == 0
    container = pod.run("fleet", abi=NEWEST)
    assert container.verdict.reason == Reason.COMPLETED, container
    found = json.loads(pod.outputs("fleet")["sum"])
    assert found.pop("own shard") == ["client-1.txt"]
    assert len(found) > 15
    assert {name for name, answer in found.items() if answer == "ok"} == set()


# ---- exhaustion ------------------------------------------------------------------------------------------------


def test_a_fork_bomb_stops_at_the_limit(attack: Attack) -> None:
    _, forks = attack("fork_bomb", processes=20)
    assert (forks["error"], forks["count"] <= 40) == ("EAGAIN", True)


@pytest.mark.parametrize("endless", ["wild_fork_bomb", "deaf_loop"])
def test_an_endless_program_ends_at_its_deadline(attack: Attack, endless: str) -> None:
    container, _ = attack(endless, wall_seconds=1.0)
    assert container.verdict.reason == Reason.DEADLINE_EXCEEDED
    assert container.verdict.wall_seconds < 6


@pytest.mark.parametrize(
    "where",
    [
        "bomb",
        "of_a_tree",
        "without_a_first_thread",
        "that_is_not_dumpable",
        "handed_from_fork_to_fork",
        "in_page_tables",
    ],
)
def test_memory_is_bounded_over_the_tree_wherever_it_is(attack: Attack, where: str) -> None:
    container, answer = attack(f"memory_{where}", memory_mib=200)
    assert (container.verdict.reason, answer) == (Reason.OUT_OF_MEMORY, None)


def test_no_program_can_be_made_that_shows_nothing_of_its_memory(attack: Attack) -> None:
    assert attack("an_unreadable_program")[1] == "EACCES"


def test_a_kill_for_memory_by_the_kernel_is_seen_whoever_was_killed(folder: Path) -> None:
    """The container's own limit, as a kubelet sets it: below what the step was granted."""
    group = Group.make(400 * MIB, 1000)
    if group is None:
        assert os.geteuid() != 0
        return
    try:
        step = Step(
            name="s", box=BoxKind.BENCH, program=("pod_attacks", "a_child_is_killed_for_memory"), memory_mib=8192
        )
        container = pod_of(folder, step).run("s", abi=NEWEST, group=group)
    finally:
        group.close()
    assert container.verdict.reason == Reason.OUT_OF_MEMORY, container


@pytest.mark.parametrize("flood", ["flood_stdout", "flood_stderr_from_a_child", "flood_the_result"])
def test_a_flood_of_output_is_cut_off(attack: Attack, flood: str) -> None:
    container, _ = attack(flood)
    assert container.verdict.reason == Reason.OUTPUT_FLOOD
    assert (len(container.said) <= 4096, container.out) == (True, "")


# ---- lies ------------------------------------------------------------------------------------------------------


def test_an_end_cannot_be_forged(attack: Attack) -> None:
    container, answer = attack("forged_platform_error")
    assert (container.verdict.reason, container.verdict.exit_code, answer) == (Reason.CRASHED, 78, None)
    assert attack("fault")[0].verdict.reason == Reason.KILLED_BY_SIGNAL
    assert attack("kill_itself", "9")[0].verdict.reason == Reason.KILLED_BY_SIGNAL


@pytest.mark.parametrize(
    "lie",
    [
        *("no_main_thread", "escaping_name", "trailing_bytes", "large_output", "output_is_a_link_to_the_work"),
        *("output_is_a_hard_link", "output_is_a_folder", "output_with_an_odd_name", "output_folder_is_a_link"),
    ],
)
def test_what_is_no_whole_stream_of_plain_files_is_bad_output(attack: Attack, lie: str) -> None:
    container, answer = attack(lie)
    assert (container.verdict.reason, answer) == (Reason.BAD_OUTPUT, None)


def test_what_was_printed_is_printable_and_the_message_is_whole(attack: Attack) -> None:
    container, _ = attack("poisoned_text")
    assert container.said.isascii() and len(container.said) <= 4096
    assert "ValueError: poison" in container.verdict.text


# ---- what is left behind ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["daemon", "daemon_that_writes_on", "outlive", "threads_left", "deep_folders"])
def test_no_process_outlives_its_step(attack: Attack, left: str) -> None:
    """Else the launcher would not end, or say that it could not end one."""
    container, _ = attack(left, wall_seconds=3.0)
    assert container.verdict.reason in (Reason.COMPLETED, Reason.DEADLINE_EXCEEDED, Reason.BAD_OUTPUT), container


def test_orphans_that_nobody_wants_end_at_once(attack: Attack) -> None:
    container, answer = attack("orphans_with_memory", memory_mib=128)
    assert (container.verdict.reason, answer) == (Reason.COMPLETED, "left")
