"""Boxes that the scenarios of this room share: one `LocalBoxes`, so that zygotes start once."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fedwright_boxes import LocalBoxes, sandbox_available
from fedwright_crds.base import Digest, digest_of
from fedwright_crds.work import MIB, BoxKind, Input, Output, Step, Verdict, Work, WorkResult

PROGRAMS = Path(__file__).parent / "programs"


class MemoryArtifacts:
    """Bytes by digest, in memory."""

    def __init__(self) -> None:
        self._kept: dict[Digest, bytes] = {}

    def read(self, digest: Digest) -> bytes:
        return self._kept[digest]

    def write(self, data: bytes) -> Digest:
        self._kept[digest_of(data)] = data
        return digest_of(data)


@dataclass
class Rig:
    """Runs works and reads their answers."""

    boxes: LocalBoxes
    artifacts: MemoryArtifacts = field(default_factory=MemoryArtifacts)

    def run(self, work: Work, cancelled: threading.Event | None = None) -> WorkResult:
        return self.boxes.run(work, cancelled or threading.Event())

    def work(self, *steps: Step, **more: Any) -> Work:
        images = {kind: digest_of(b"image") for kind in BoxKind}
        return Work(kind="test", steps=steps, images=images, **more)

    def attack(
        self, name: str, *arguments: str, inputs: dict[str, bytes] | None = None, **bounds: Any
    ) -> tuple[Verdict, Any]:
        """What became of an attack, and what it says that it found (None if it handed nothing out)."""
        step = Step(
            name="attack",
            box=BoxKind.BENCH,
            program=("attacks", name, *arguments),
            inputs=tuple(inputs or ()),
            outputs=("result",),
            **{"wall_seconds": 20.0, "memory_mib": 256, **bounds},
        )
        given = tuple(Input(name=key, digest=self.artifacts.write(value)) for key, value in (inputs or {}).items())
        result = self.run(self.work(step, inputs=given, outputs=(Output(name="result", max_bytes=MIB // 8),)))
        said = result.outputs.get("result")
        return result.verdicts[-1], None if said is None else json.loads(self.artifacts.read(said))


def _rig(scratch: Path, **options: Any) -> Rig:
    artifacts = MemoryArtifacts()
    code = dict.fromkeys(BoxKind, (PROGRAMS,))
    return Rig(LocalBoxes(artifacts, **{"scratch": scratch, "extra_code": code, "slots": 8, **options}), artifacts)


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    assert sandbox_available() is None
    made = _rig(tmp_path_factory.mktemp("scratch"))
    with made.boxes:
        yield made


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Rigs with other options; closed when the test ends."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> Rig:
            made = _rig(**{"scratch": tmp_path, **options})
            stack.enter_context(made.boxes)
            return made

        yield make
