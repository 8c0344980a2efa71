"""The real loop, store and reconcilers of one machine over boxes that answer by the world's script.

As a program, `scripted_machine.py SECONDS_A_WORK ARGUMENT...` is the command line on such a machine, to be killed by tests.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from pytest import MonkeyPatch
from world import IMAGES, World, wish

from fedwright_crds.work import Outcome, Work, WorkResult
from fedwright_operator.cli import main, run
from fedwright_operator.local import machine
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.home import Home
from fedwright_operator.local.loop import Loop
from fedwright_operator.local.releases import Releases


class ScriptedBoxes:
    """Runs works by asking a world, after a while."""

    def __init__(self, artifacts: Artifacts, seconds: float = 0.0, **world: object) -> None:
        self._artifacts, self._seconds, self._world = artifacts, seconds, world

    def run(self, work: Work, cancelled: Event) -> WorkResult:
        if cancelled.wait(self._seconds):
            return WorkResult(id=work.id, kind=work.kind, outcome=Outcome.PLATFORM_ERROR)
        world = World(wish(), **self._world)  # type: ignore[arg-type]
        world.artifacts = {one.digest: self._artifacts.read(one.digest) for one in work.inputs}
        world.finish(work)
        result = world.results[work.id]
        for digest in result.outputs.values():
            self._artifacts.write(world.artifacts[digest])
        return result


@contextmanager
def scripted(seconds: float = 0.0, **world: object) -> Iterator[None]:
    """Within it, `fedwright run` works on a machine whose boxes are scripted; all else is real."""

    @contextmanager
    def scripted_machine(home: Home, *, unsafe_no_sandbox: bool = False) -> Iterator[Loop]:
        del unsafe_no_sandbox
        boxes = ScriptedBoxes(Artifacts(home.artifacts), seconds, **world)
        fleets = Releases(home, (Path(__file__).parent,), program="small_programs")
        loop = Loop(home, machine.PLANNERS, boxes.run, IMAGES, fleets)
        try:
            yield loop
        finally:
            loop.close()

    with MonkeyPatch.context() as patch:
        patch.setattr(machine, "machine", scripted_machine)
        patch.setattr(run, "sandbox_available", lambda: None)  # no generated code is run
        yield


if __name__ == "__main__":
    with scripted(float(sys.argv[1])):
        status = main(sys.argv[2:])
    sys.exit(status)
