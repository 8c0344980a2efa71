"""A server and its clients, each in a box of its own, joined by the parent's channel alone."""

import time
from pathlib import Path
from typing import Any

import pytest

from fedwright_crds.work import MIB, BoxKind, Handover, Input, Outcome, Output, Reason, Step, WorkResult

Rig = Any
CLIENTS = 3


@pytest.fixture
def play(rig: Rig) -> Any:
    def run(scenario: str, clients: int = CLIENTS, **more: Any) -> WorkResult:
        shards = Step(name="shards", box=BoxKind.BENCH, program=("shards", str(clients)), writes=("shards",))
        fleet = Step(
            name="fleet",
            box=BoxKind.BENCH,
            program=("members", scenario),
            inputs=("clients",),
            reads=("shards",),
            writes=("checkpoint",),
            outputs=("sum",),
            fleet=clients,
            **{"wall_seconds": 20.0, **more},
        )
        return rig.run(
            rig.work(
                shards,
                fleet,
                inputs=(Input(name="clients", digest=rig.artifacts.write(str(clients).encode())),),
                handovers=tuple(Handover(name=name, max_bytes=MIB) for name in ("shards", "checkpoint")),
                outputs=(Output(name="sum", max_bytes=1000, required=False),),
            )
        )

    return run


def test_a_fleet_sums_over_rounds_and_the_parent_counts(rig: Rig, play: Any) -> None:
    """Shards hold 10, 11, 12, so that each round adds 33."""
    result = play("sum")
    assert result.outcome == Outcome.SUCCEEDED, result
    assert rig.artifacts.read(result.outputs["sum"]) == b"99"
    verdict = result.verdicts[-1]
    assert verdict.rounds == 3
    assert verdict.bytes_up == 3 * CLIENTS * len("10")
    assert verdict.bytes_down == CLIENTS * (len("0") + len("33") + len("66"))


def test_each_member_sees_its_own_files_and_only_the_servers_count(rig: Rig, play: Any) -> None:
    result = play("look", clients=2)
    assert result.outcome == Outcome.SUCCEEDED, result
    assert rig.artifacts.read(result.outputs["sum"]) == b"from/shards/server.txt in/clients"


def test_large_messages_pass_whole(rig: Rig, play: Any) -> None:
    result = play("large", clients=2)
    assert result.outcome == Outcome.SUCCEEDED, result
    assert result.verdicts[-1].bytes_up == result.verdicts[-1].bytes_down == 2 * 5 * MIB


def test_clients_do_not_speak_with_each_other(play: Any) -> None:
    assert play("gossip", clients=2).reason == Reason.BAD_OUTPUT


@pytest.mark.parametrize("scenario", ["boast", "flood"])
def test_a_flood_of_messages_is_cut_off(play: Any, scenario: str) -> None:
    result = play(scenario, clients=1)
    assert result.reason == Reason.OUTPUT_FLOOD
    assert result.verdicts[-1].wall_seconds < 15


def test_only_the_server_and_its_clients_are_spoken_to(play: Any) -> None:
    assert play("narcissist", clients=1).reason == Reason.BAD_OUTPUT
    assert play("stranger", clients=1).reason == Reason.BAD_OUTPUT


@pytest.mark.parametrize("scenario", ["busy", "halves", "silent", "deaf", "empty"])
def test_the_clock_and_the_parent_stand_whatever_members_do(play: Any, scenario: str) -> None:
    """Whoever speaks without end, in pieces or not at all costs the parent neither the clock, nor memory, nor a core."""
    memory, used = _resident_mib(), time.process_time()
    result = play(scenario, clients=2, wall_seconds=3.0)
    assert result.reason in (Reason.DEADLINE_EXCEEDED, Reason.OUTPUT_FLOOD)
    assert result.verdicts[-1].wall_seconds < 8
    assert _resident_mib() - memory < 600
    assert scenario in ("deaf", "empty") or time.process_time() - used < 1


def _resident_mib() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM:"))


def test_rounds_without_end_are_refused(play: Any) -> None:
    result = play("numbers", clients=1)
    assert result.reason == Reason.BAD_OUTPUT
    assert (result.verdicts[-1].rounds or 0) <= 1 << 16


def test_no_descriptor_passes_between_members(rig: Rig, play: Any) -> None:
    result = play("passing", clients=1)
    assert result.outcome == Outcome.SUCCEEDED, result
    assert rig.artifacts.read(result.outputs["sum"]) == b"[]"


def test_memory_is_bounded_for_each_member(play: Any) -> None:
    result = play("greedy", clients=2, memory_mib=200)
    assert result.reason == Reason.OUT_OF_MEMORY
    assert result.verdicts[-1].wall_seconds < 10


def test_one_broken_member_ends_the_step_with_its_reason(play: Any) -> None:
    result = play("broken")
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.CRASHED)
    assert "client 1 is broken" in result.verdicts[-1].text
    assert result.verdicts[-1].wall_seconds < 10
