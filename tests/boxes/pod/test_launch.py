"""The launcher itself: what it refuses, how it stops, and that nothing of a step is left."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedwright_boxes import folders, groups, memory
from fedwright_boxes.pod import probe
from fedwright_boxes.pod.contract import EXIT_CODES, Ending
from fedwright_crds.work import MIB, BoxKind, Handover, Output, Reason, Step

from .conftest import NEWEST, NOBODY, ROOM, pod_of

SEEN = (Output(name="seen", max_bytes=MIB),)


def step(*program: str, box: BoxKind = BoxKind.BENCH, **more: Any) -> Step:
    return Step(name=program[0], box=box, program=("parts", *program), **{"wall_seconds": 60.0, **more})


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


# ---- inputs, handovers, outputs --------------------------------------------------------------------------------


def test_inputs_come_in_chunks_and_handovers_pass_from_step_to_step(folder: Path) -> None:
    """Each container sees what its step names, and its files are readable by the group."""
    data = bytes(range(65, 91)) * 10_000
    prepare = step("prepare", box=BoxKind.JUDGE, writes=("shards", "labels"))
    look = step("look", reads=("shards",), inputs=("data",), outputs=("seen",))
    handovers = tuple(Handover(name=name, max_bytes=MIB) for name in ("shards", "labels"))
    pod = pod_of(folder, prepare, look, inputs={"data": data}, handovers=handovers, outputs=SEEN)
    for name in ("prepare", "look"):
        assert pod.run(name, abi=NEWEST).code == 0
    seen = json.loads(pod.outputs("look")["seen"])
    assert seen.keys() == {"in/data", "from/shards/client-0.txt", "from/shards/client-1.txt"}
    assert seen["in/data"].encode() == data
    assert {path.stat().st_mode & 0o777 for path in folder.joinpath("handovers", "shards").iterdir()} == {0o640}


def test_an_input_with_other_bytes_than_its_digest_is_refused(folder: Path) -> None:
    pod = pod_of(folder, step("look", inputs=("data",), outputs=("seen",)), inputs={"data": b"meant"}, outputs=SEEN)
    (folder / "in" / "data" / "000").write_bytes(b"other")
    container = pod.run("look", abi=NEWEST)
    assert (container.verdict.reason, container.code) == (Reason.PLATFORM, EXIT_CODES[Reason.PLATFORM])
    assert "input data: the artifact's bytes are not those of" in container.ending.message


def test_a_handover_that_is_no_folder_of_plain_files_is_refused(folder: Path) -> None:
    pod = pod_of(folder, step("look", reads=("shards",)), handovers=(Handover(name="shards", max_bytes=10),))
    (folder / "handovers" / "shards" / "link").symlink_to("/etc/passwd")
    assert "'link' is a link" in pod.run("look", abi=NEWEST).ending.message
    (folder / "handovers" / "shards" / "link").unlink()
    (folder / "handovers" / "shards" / "large").write_bytes(bytes(11))
    assert "a file of 11 bytes is more than the 10 that are left" in pod.run("look", abi=NEWEST).ending.message


def test_a_quiet_step_says_nothing_even_when_it_fails(folder: Path) -> None:
    container = pod_of(folder, step("fail", "3", quiet=True)).run("fail", abi=NEWEST)
    assert (container.verdict.reason, container.verdict.exit_code, container.code) == (Reason.CRASHED, 3, 65)
    assert (container.verdict.text, container.ending.message) == ("", "step fail: Crashed")
    assert "reason on stderr" not in container.out + container.errors


def test_a_trace_names_the_box_as_on_one_machine(folder: Path) -> None:
    pod = pod_of(folder, step("write_many", "h", "1", "1"))
    assert "'/box/to/h/file-0'" in pod.run("write_many", abi=NEWEST).verdict.text


def test_a_step_or_a_work_that_is_not_there_is_named(folder: Path) -> None:
    pod = pod_of(folder, step("nothing"))
    document = folder / "work" / "work.json"
    document.write_text(pod.work.model_dump_json().replace('"nothing"', '"other"', 1))
    assert "the work has no step nothing, but other" in pod.run("nothing", abi=NEWEST).ending.message
    document.write_text("{")
    container = pod.run("nothing", abi=NEWEST)
    assert (container.verdict.step, container.code) == ("nothing", 78)
    assert "the work cannot be read from /fedwright/work/work.json" in container.ending.message


# ---- walls -----------------------------------------------------------------------------------------------------


def test_generated_code_is_refused_where_the_kernel_has_no_landlock(folder: Path) -> None:
    pod = pod_of(folder, step("nothing"), step("arguments", "x", box=BoxKind.JUDGE, outputs=("seen",)), outputs=SEEN)
    container = pod.run("nothing", landlock=False, abi=NEWEST)
    assert (container.verdict.reason, container.code) == (Reason.PLATFORM, 78)
    assert "without Landlock" in container.ending.message
    assert pod.run("arguments", landlock=False, abi=NEWEST).code == 0


def test_a_network_that_is_not_closed_ends_a_bench_before_anything_runs(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"127.0.0.1:{server.getsockname()[1]}"
        pod = pod_of(folder, step("nothing"))
        container = pod.run("nothing", "--probe", "127.0.0.1:1", target, abi=NEWEST, network=True)
        assert (container.verdict.reason, container.verdict.wall_seconds) == (Reason.PLATFORM, 0.0)
        assert f"the network is not closed: {target}" in container.ending.message
        assert pod.run("nothing", "--probe", target, abi=NEWEST).code == 0


def test_a_mind_keeps_its_network(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        port = server.getsockname()[1]
        pod = pod_of(folder, step("connect", str(port), box=BoxKind.MIND, outputs=("seen",)), outputs=SEEN)
        process = pod.launch("connect", "--probe", f"127.0.0.1:{port}", abi=NEWEST, network=True)
        with server.accept()[0] as line:
            line.sendall(b"hello")
        assert pod.ended("connect", process).code == 0
    assert json.loads(pod.outputs("connect")["seen"]) == "hello"


def test_a_mind_alone_is_given_secrets(folder: Path) -> None:
    """They come as a Secret's volume does: links into a folder that is swapped as a whole."""
    steps = [
        Step(name=str(box), box=box, program=("parts", "look"), outputs=("seen",))
        for box in (BoxKind.MIND, BoxKind.BENCH)
    ]
    seen = {}
    for one in steps:
        pod = pod_of(folder, one, outputs=SEEN)
        pod.secret("allowance", b"signed")
        assert pod.run(one.name, abi=NEWEST).code == 0
        seen[one.box] = json.loads(pod.outputs(one.name)["seen"])
    assert seen == {BoxKind.MIND: {"secret/allowance": "signed"}, BoxKind.BENCH: {}}


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "host:0", "host:70000", "host:x", "host:-1"])
def test_a_probe_is_a_host_and_a_port(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        probe.target_of(text)


def test_a_probe_may_be_an_address_of_version_6() -> None:
    assert probe.target_of("[fd00::1]:443") == ("fd00::1", 443)


# ---- ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["at once", "while it runs"])
def test_a_request_to_stop_is_answered_at_once(folder: Path, when: str) -> None:
    pod = pod_of(folder, step("sleep", "60"))
    process = pod.launch("sleep", abi=NEWEST)
    wait_until(lambda: any(map(handles_stop, memory.children(process.pid))))
    (launcher,) = memory.children(process.pid)
    if when == "while it runs":
        wait_until(lambda: len(set(memory.tree(launcher))) >= 3)
    started = time.monotonic()
    os.kill(launcher, signal.SIGTERM)
    container = pod.ended("sleep", process)
    assert time.monotonic() - started < 10.0  # a second, and what a busy machine takes to end the processes around it
    assert (container.verdict.reason, container.code, container.ending.message) == (Reason.PLATFORM, 78, "stopped")


def handles_stop(process: int) -> bool:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("left", ["daemon_that_writes_on", "outlive", "daemon"])
def test_outside_a_pod_nothing_is_left_either(folder: Path, left: str) -> None:
    """Below a folder that stands for the root, as a plain user and with no namespace around it."""
    one = Step(name="s", box=BoxKind.BENCH, program=("pod_attacks", left), outputs=("result",), wall_seconds=2.0)
    work = pod_of(folder, one, outputs=(Output(name="result", max_bytes=MIB, required=False),)).work
    root = folder / "root"
    for place in ("fedwright/work", "fedwright/out", "box", "dev"):
        (root / place).mkdir(parents=True)
    (root / "fedwright" / "work" / "work.json").write_text(work.model_dump_json())
    if os.geteuid() == 0:
        for path in root.rglob("*"):
            os.chown(path, NOBODY, NOBODY)
    user = [sys.executable, str(ROOM.parent / "as_user.py")] if os.geteuid() == 0 else []
    launcher = [sys.executable, "-I", "-B", str(ROOM / "programs" / "with_programs.py"), str(NEWEST)]
    ran = subprocess.run([*user, *launcher, "s", "--root", str(root)], timeout=60, check=False)
    ending = Ending.model_validate_json((root / "dev" / "termination-log").read_bytes())
    assert ran.returncode == EXIT_CODES[ending.verdict.reason]
    assert ending.verdict.reason in (Reason.COMPLETED, Reason.DEADLINE_EXCEEDED), ending
    assert working_below(root) == []
    assert list((root / "box").iterdir()) == []


def working_below(folder: Path) -> list[str]:
    """Processes whose working folder is, or was, there."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and str(folder) in str((process / "cwd").readlink()):
                found.append(process.name)
        except OSError:
            continue
    return found


def test_twenty_clients_fit_into_one_container(folder: Path) -> None:
    shards = Step(name="shards", box=BoxKind.BENCH, program=("shards", "20"), writes=("shards",))
    fleet = Step(
        name="fleet",
        box=BoxKind.BENCH,
        program=("members", "sum"),
        inputs=("clients",),
        reads=("shards",),
        writes=("checkpoint",),
        outputs=("sum",),
        fleet=20,
    )
    handovers = tuple(Handover(name=name, max_bytes=MIB) for name in ("shards", "checkpoint"))
    outputs = (Output(name="sum", max_bytes=99),)
    pod = pod_of(folder, shards, fleet, inputs={"clients": b"20"}, handovers=handovers, outputs=outputs)
    assert pod.run("shards", abi=NEWEST).code == 0
    container = pod.run("fleet", abi=NEWEST)
    assert container.code == 0, container
    total = str(3 * sum(range(10, 30))).encode()
    assert (pod.outputs("fleet")["sum"], pod.handover("checkpoint")["total"]) == (total, total)
    assert (container.verdict.rounds, container.verdict.bytes_up) == (3, 3 * 20 * len("10"))
    assert (container.verdict.peak_memory_mib or 0) < 21 * 20


@pytest.mark.parametrize(
    ("said", "kills"),
    [
        ("low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\noom_group_kill 1\n", 2),
        ("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", 3),
        ("low 0\n", 0),
    ],
    ids=["version 2", "version 1", "an old kernel"],
)
def test_kills_for_memory_are_counted_in_both_versions_of_control_groups(tmp_path: Path, said: str, kills: int) -> None:
    events = tmp_path / "events"
    events.write_text(said)
    assert groups.kills(events) == kills
    assert groups.kills(tmp_path / "missing") == 0


def test_a_folder_is_removed_whatever_it_holds(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("x")
    box = tmp_path / "box"
    (box / "closed" / "deep" / "deeper").mkdir(parents=True)
    (box / "lifted-0" / "lifted-0").mkdir(parents=True)
    (box / "closed" / "link").symlink_to(tmp_path)
    os.mkfifo(box / "fifo")
    (box / "closed").chmod(0)
    folders.remove(box)
    assert (box.exists(), kept.read_text()) == (False, "x")
    folders.remove(tmp_path / "never")
