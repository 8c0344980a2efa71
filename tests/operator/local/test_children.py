"""Trusted programs as child processes: what they see, how they end, and that nothing of them is left."""

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import small_programs
from small_plans import wait_for

from fedwright_crds.federation import Federation, FederationSpec, NodeData, NodeGroup
from fedwright_crds.meta import Metadata
from fedwright_crds.work import BoxKind, Input, Outcome, Output, Reason, Step, Work, WorkResult
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.child import Child
from fedwright_operator.local.home import Home
from fedwright_operator.local.platform import PlatformBoxes
from fedwright_operator.local.releases import Releases

HERE = Path(small_programs.__file__).parent


@pytest.fixture(autouse=True)
def programs_are_importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A child's environment is bare, so the helpers reach it through the folder that it is started in."""
    (tmp_path / "small_programs.py").symlink_to(HERE / "small_programs.py")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes_below(folder: Path) -> list[int]:
    """Processes that were started in that folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == folder and alive(int(entry.name)):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_a_child_that_is_ended_takes_all_its_descendants_along(tmp_path: Path) -> None:
    child = Child(("small_programs", "brood", str(tmp_path)), cwd=tmp_path, environment={}, grace_seconds=0.2)
    wait_for((tmp_path / "ready").exists)
    assert len(processes_below(tmp_path)) >= 5, "tether, program, two children, an orphan"
    began = time.monotonic()
    child.end(5)
    assert time.monotonic() - began < 2
    wait_for(lambda: not processes_below(tmp_path))


def test_a_child_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    code = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from fedwright_operator.local.child import Child

        folder = Path({str(tmp_path)!r})
        Child(("small_programs", "brood", str(folder)), cwd=folder, environment={{}}, grace_seconds=0.2)
        time.sleep(600)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    wait_for((tmp_path / "ready").exists)
    parent.kill()
    parent.wait()
    wait_for(lambda: not processes_below(tmp_path))


# -- platform boxes ---------------------------------------------------------------------------------
class Platform:
    """A platform box with what it told of progress."""

    def __init__(self, folder: Path) -> None:
        self.artifacts = Artifacts(folder / "artifacts")
        self.told: list[tuple[str, Mapping[str, float]]] = []
        self.folder = folder
        self._boxes = PlatformBoxes(self.artifacts, Home(folder), lambda *said: self.told.append(said))

    def run(self, program: str, seconds: float = 30.0, cancelled: threading.Event | None = None) -> WorkResult:
        return self._boxes.run(self.work(program, seconds), cancelled or threading.Event())

    def work(self, program: str, seconds: float) -> Work:
        order = Input(name="order", digest=self.artifacts.write(b"an order"))
        step = Step(
            name="deploy",
            box=BoxKind.PLATFORM,
            program=("small_programs", *program.split()),
            inputs=("order",),
            outputs=("seen",),
            wall_seconds=seconds,
            federation="edge",
        )
        image = {BoxKind.PLATFORM: "sha256:" + "0" * 64}
        return Work(
            kind="deploy", steps=(step,), inputs=(order,), outputs=(Output(name="seen", max_bytes=4096),), images=image
        )


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    # Platform programs are installed packages; those of the tests are not, so the interpreter is told where they are.
    monkeypatch.setattr("fedwright_operator.local.child.sys.executable", _interpreter(tmp_path))
    return Platform(tmp_path)


def _interpreter(folder: Path) -> str:
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={HERE} exec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_a_platform_program_sees_its_box_and_its_federation_and_no_more(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "of the user")
    result = platform.run("deploy")
    assert result.outcome is Outcome.SUCCEEDED
    seen = json.loads(platform.artifacts.read(result.outputs["seen"]))
    assert seen["order"] == "an order"
    assert seen["federation"] == str(platform.folder / "federations" / "default" / "edge")
    assert "A_SECRET" not in seen["environment"]
    assert [dict(figures) for _, figures in platform.told] == [
        {"round": 1, "accuracy": 0.1},
        {"round": 2, "accuracy": 0.2},
    ]
    assert not list((platform.folder / "scratch").iterdir())


@pytest.mark.parametrize(
    ("program", "outcome", "reason", "words"),
    [
        ("crash", Outcome.PLATFORM_ERROR, Reason.CRASHED, "no SuperLink"),
        ("nothing", Outcome.PLATFORM_ERROR, Reason.BAD_OUTPUT, "output seen of step deploy is missing"),
        ("link", Outcome.PLATFORM_ERROR, Reason.BAD_OUTPUT, "no plain file"),
    ],
)
def test_a_platform_program_that_fails_says_how(
    platform: Platform, program: str, outcome: Outcome, reason: Reason, words: str
) -> None:
    result = platform.run(program)
    assert (result.outcome, result.reason, result.outputs) == (outcome, reason, {})
    assert words in result.message + result.verdicts[-1].text


def test_a_platform_program_is_ended_at_its_deadline_or_when_nobody_wants_it(platform: Platform) -> None:
    late = platform.run(f"brood {platform.folder}", seconds=1.0)
    assert (late.outcome, late.reason) == (Outcome.FAILED, Reason.DEADLINE_EXCEEDED)
    cancelled = threading.Event()
    cancelled.set()
    assert platform.run(f"brood {platform.folder}", cancelled=cancelled).outcome is Outcome.PLATFORM_ERROR


# -- fleets -----------------------------------------------------------------------------------------
def federation(nodes: int = 2) -> Federation:
    group = NodeGroup(name="edge", nodes=nodes, data=NodeData(path="/data.npz"))
    return Federation(metadata=Metadata(name="edge", uid="uid-1"), spec=FederationSpec(groups=(group,)))


def test_a_fleet_is_started_watched_started_again_and_stopped(tmp_path: Path) -> None:
    releases = Releases(Home(tmp_path), (HERE,), program="small_programs")
    folder = Home(tmp_path).federation("default", "edge")

    def ready(nodes: int) -> bool:
        releases.want([federation(nodes)])
        seen = releases.statuses()["uid-1"]
        return seen.ready and seen.nodes_connected == nodes

    def starts() -> list[int]:
        return list(map(int, (folder / "starts").read_text().split()))

    wait_for(lambda: ready(2))
    assert releases.statuses()["uid-1"].address == "127.0.0.1:1"
    os.kill(starts()[0], 9)
    wait_for(lambda: ready(2) and len(starts()) == 2)
    wait_for(lambda: ready(3))
    assert len(starts()) == 3, "another spec is another fleet"
    releases.want([])
    assert not releases.statuses()
    wait_for(lambda: not any(map(alive, starts())))
