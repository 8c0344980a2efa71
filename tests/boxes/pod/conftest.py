"""Pods without a cluster: each step's container is made by bubblewrap as a kubelet would have it made.

The launcher is the first process of a PID namespace, a plain user without any capability, in a read-only root, behind a
filter of system calls that forbids namespaces and mounts. Nobody can make a control group there.
"""

import base64
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedwright_boxes import bubblewrap
from fedwright_boxes.groups import Group
from fedwright_boxes.pod import contract
from fedwright_boxes.pod.contract import Ending
from fedwright_crds.base import digest_of
from fedwright_crds.work import MIB, BoxKind, Input, Output, Step, Verdict, Work

ROOM = Path(__file__).parent
NOBODY = 65534
USER = "10001"
CHUNK = 100_000
_REPLACED = {"proc", "dev", "box", "fedwright", "tmp", "code"}
_FORBIDDEN = {"unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "bpf": 321, "keyctl": 250}
_LANDLOCK = {"landlock_create_ruleset": 444}


def filter_of(numbers: Sequence[int], error: int) -> bytes:
    """A seccomp program that refuses these system calls."""
    load, equal, answer = 0x20, 0x15, 0x06
    tests = [(equal, 0, 1, number) for number in numbers]
    lines = [(load, 0, 0, 0), *(part for test in tests for part in (test, (answer, 0, 0, 0x00050000 | error)))]
    return b"".join(struct.pack("HBBI", *line) for line in [*lines, (answer, 0, 0, 0x7FFF0000)])


@dataclass
class Container:
    """One that has ended."""

    code: int
    said: bytes
    out: str
    errors: str

    @property
    def ending(self) -> Ending:
        return Ending.model_validate_json(self.said)

    @property
    def verdict(self) -> Verdict:
        return self.ending.verdict


@dataclass
class Pod:
    """The volumes of one pod in a folder, and containers over them."""

    folder: Path
    work: Work
    inputs: Mapping[str, bytes]

    def __post_init__(self) -> None:
        self._file("work/work.json", self.work.model_dump_json().encode())
        for name, data in self.inputs.items():
            for number, start in enumerate(range(0, max(1, len(data)), CHUNK)):
                self._file(f"in/{name}/{contract.chunk_name(number)}", data[start : start + CHUNK])
        for handover in self.work.handovers:
            self._made(f"handovers/{handover.name}")
        for step in self.work.steps:
            self._made(f"out/{step.name}")

    def _made(self, path: str) -> Path:
        made = self.folder / path
        made.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            for part in [made, *made.parents]:
                if part.is_relative_to(self.folder):
                    os.chown(part, NOBODY, NOBODY)
        return made

    def _file(self, path: str, content: bytes) -> None:
        self._made(str(Path(path).parent))
        (self.folder / path).write_bytes(content)

    def secret(self, name: str, content: bytes) -> None:
        """As a Secret's volume: a link into a folder that is swapped as a whole."""
        self._file(f"secret/..2026/{name}", content)
        for link, target in (("..data", "..2026"), (name, f"..data/{name}")):
            path = self.folder / "secret" / link
            path.unlink(missing_ok=True)
            path.symlink_to(target)

    def launch(self, name: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """A step's container. `network`: the host's; `landlock`: whether the kernel has it; `abi`: that
        Landlock version at most, and the programs beside these tests."""
        step = next(step for step in self.work.steps if step.name == name)
        binds = [("--ro-bind", self.folder / "in" / one, contract.IN / one) for one in step.inputs]
        binds += [("--ro-bind", self.folder / "handovers" / one, contract.FROM / one) for one in step.reads]
        binds += [("--bind", self.folder / "handovers" / one, contract.TO / one) for one in step.writes]
        binds += [("--bind", self.folder / "out" / name, contract.OUT)]
        if (self.folder / "secret").exists():
            binds += [("--ro-bind", self.folder / "secret", contract.SECRET)]
        return self._contain(name, contract.LAUNCH, (name, *arguments), binds, **options)

    def run(self, name: str, *arguments: str, timeout: float = 120.0, **options: Any) -> Container:
        return self.ended(name, self.launch(name, *arguments, **options), timeout)

    def deliver(self) -> tuple[Container, dict[str, bytes]]:
        binds = [("--ro-bind", self.folder / "out", contract.OUT)]
        container = self.ended("deliver", self._contain("deliver", contract.DELIVER, (), binds), 60.0)
        return container, read_delivery(container.out) if container.code == 0 else {}

    def ended(self, name: str, process: subprocess.Popen[str], timeout: float = 60.0) -> Container:
        out, errors = process.communicate(timeout=timeout)
        return Container(process.returncode, (self.folder / f"log-{name}").read_bytes(), out, errors)

    def handover(self, name: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / "handovers" / name).iterdir()}

    def outputs(self, step: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / "out" / step).iterdir()}

    def _contain(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        binds: Sequence[tuple[Any, ...]],
        network: bool = False,
        landlock: bool = True,
        abi: int = 0,
        group: Group | None = None,
    ) -> subprocess.Popen[str]:
        log = f"log-{name}"
        self._file(log, b"")
        (self.folder / log).chmod(0o666)
        numbers = [*_FORBIDDEN.values(), *(() if landlock else _LANDLOCK.values())]
        with tempfile.TemporaryFile() as rules:
            rules.write(filter_of(numbers, 1 if landlock else 38))
            rules.seek(0)
            program = ["-m", module] if not abi else [str(ROOM / "programs" / "with_programs.py"), str(abi)]
            doors = group.doors() if group else []
            command = [
                *_through(doors),
                *_as_user(),
                str(bubblewrap.installed_programs()[0]),
                *(
                    "--unshare-user",
                    "--unshare-pid",
                    "--unshare-ipc",
                    "--as-pid-1",
                    "--die-with-parent",
                    "--new-session",
                ),
                *("--uid", USER, "--gid", USER, "--cap-drop", "ALL", "--seccomp", str(rules.fileno())),
                *(() if network else ("--unshare-net",)),
                *_root(),
                *("--proc", "/proc", "--dev", "/dev", "--bind", str(self.folder / log), str(contract.TERMINATION_LOG)),
                *("--perms", "0777", "--tmpfs", str(contract.BOX), "--tmpfs", str(contract.SHARED)),
                *("--ro-bind", str(self.folder / "work"), str(contract.WORK.parent)),
                *(str(word) for bind in binds for word in bind),
                *("--remount-ro", str(contract.SHARED), "--remount-ro", "/", "--chdir", "/"),
                *("--clearenv", "--setenv", "KUBERNETES_SERVICE_HOST", "10.0.0.1", "--setenv", "A_KEY", "sk-secret"),
                *(sys.executable, "-I", "-B", *program, *arguments),
            ]
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=[rules.fileno(), *doors]
            )
            for door in doors:
                os.close(door)
            return process


def _through(doors: Sequence[int]) -> list[str]:
    """Into a control group first."""
    enter = "import os, sys; [os.write(int(door), b'0') for door in sys.argv[1].split()]; os.execv(sys.argv[2], sys.argv[2:])"
    return [sys.executable, "-c", enter, " ".join(map(str, doors))] if doors else []


def _as_user() -> list[str]:
    return [sys.executable, str(ROOM.parent / "as_user.py")] if os.geteuid() == 0 else []


def _root() -> Iterator[str]:
    """The machine's folders, read-only, as the image."""
    for path in Path("/").iterdir():
        if path.name not in _REPLACED:
            yield from ("--symlink", str(path.readlink()), str(path)) if path.is_symlink() else (
                "--ro-bind-try", str(path), str(path),
            )  # fmt: skip
    repository = str(ROOM.parents[2])  # which may lie below a folder that is left out
    yield from ("--ro-bind", repository, repository)


def read_delivery(text: str) -> dict[str, bytes]:
    """As the operator reads it."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        head = json.loads(line)
        if "end" in head:
            assert head["end"] == len(found) and not list(lines)
            return found
        content = b"".join(base64.b64decode(line, validate=True) for line in iter(lambda: next(lines), ""))
        assert (digest_of(content), len(content)) == (head["digest"], head["bytes"])
        found[head["name"]] = content
    raise AssertionError("the delivery has no end")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's own, which it closes to others."""
    made = Path(tempfile.mkdtemp(prefix="pod-"))
    made.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(made, NOBODY, NOBODY)
    yield made
    shutil.rmtree(made)


NEWEST = 99


@pytest.fixture
def attack(folder: Path) -> Any:
    """What became of a hostile program, and what it says that it found (None if it handed nothing out)."""

    def run(name: str, *arguments: str, abi: int = NEWEST, inputs: Mapping[str, bytes] = {}, **bounds: Any) -> Any:
        step = Step(
            name="attack",
            box=BoxKind.BENCH,
            program=("pod_attacks", name, *arguments),
            inputs=tuple(inputs),
            outputs=("result",),
            **{"wall_seconds": 20.0, "memory_mib": 256, **bounds},
        )
        pod = pod_of(folder, step, inputs=inputs, outputs=(Output(name="result", max_bytes=MIB // 8),))
        container = pod.run("attack", abi=abi)
        assert container.code == contract.EXIT_CODES[container.verdict.reason], container
        found = pod.outputs("attack").get("result")
        return container, None if found is None else json.loads(found)

    return run


def pod_of(folder: Path, *steps: Step, inputs: Mapping[str, bytes] = {}, **more: Any) -> Pod:
    given = tuple(Input(name=name, digest=digest_of(data)) for name, data in inputs.items())
    images = {kind: digest_of(b"image") for kind in BoxKind}
    return Pod(folder, Work(kind="test", steps=steps, inputs=given, images=images, **more), inputs)
