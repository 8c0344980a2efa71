"""The first process of a step's container: runs the step in cells, and writes what they hand on once they are gone.

Trusted, and the only one here that touches the pod's volumes. It takes the step from the work in the pod, its inputs
and the handovers of earlier steps from folders, and ends with one document and an exit code: see `contract`.
"""

import argparse
import contextlib
import os
import platform
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fedwright_boxes import folders, sight, steps, syscalls
from fedwright_boxes.keeper import Zygote, ZygoteError
from fedwright_boxes.pod import contract, orphans, probe
from fedwright_boxes.pod.contract import EXIT_CODES, Ending
from fedwright_boxes.pod.relay import Relay
from fedwright_boxes.pod.volumes import VolumeError, Volumes
from fedwright_boxes.profiles import IMPORT_CACHE, PROFILES, Profile
from fedwright_boxes.steps import Progress, WorkError
from fedwright_boxes.watch import NO_TRUST, Trust
from fedwright_crds.base import Digest, digest_of
from fedwright_crds.work import BoxKind, Reason, Step, Verdict, Work

_TICK_SECONDS = 0.05
_LAST_SECONDS = 0.7
"""Between a request to stop, with what grace there is, and an end that waits for nothing more."""
_SWEEP_SECONDS = 10.0
_SAME_FIGURES = {"ATEN_CPU_CAPABILITY": "default"}
"""Behind bubblewrap torch cannot see which processor it has, and figures must not tell one box from another."""
_CLOSED = (BoxKind.BENCH, BoxKind.JUDGE)
"""Boxes without a network."""


class RefusalError(Exception):
    """The step cannot be run here as it has to be; the message says why. Nothing of it has run."""


class Launcher:
    """One step of a work. `run` once; `stop` may be called at any time and from a signal handler."""

    def __init__(self, name: str, volumes: Volumes, probes: Sequence[tuple[str, int]]) -> None:
        self._name, self._volumes, self._probes = name, volumes, probes
        self._stopped = threading.Event()
        self._speaking = threading.Lock()
        self._grace_seconds = 0
        self._room = contract.message_room(contract.MOST_CONTAINERS)
        """Bytes of the last message, until the work says how many containers there are."""

    def stop(self, *_: object) -> None:
        if not self._stopped.is_set():
            self._stopped.set()
            hurry = threading.Timer(self._grace_seconds + _LAST_SECONDS, self._give_up)
            hurry.daemon = True
            hurry.start()

    def run(self) -> int:
        """The exit code. What was said last is in the termination log."""
        try:
            ending = self._run()
        except (RefusalError, VolumeError, WorkError, ZygoteError, OSError) as error:
            ending = self._platform(str(error))
        except Exception as error:
            traceback.print_exc()
            ending = self._platform(f"the launcher failed: {error!r}")
        if self._stopped.is_set() and ending.verdict.reason == Reason.PLATFORM:
            ending = ending.model_copy(update={"message": "stopped"})
        self._speaking.acquire()  # and never released: there is one last word
        return self._say(ending)

    def _give_up(self) -> None:
        if self._speaking.acquire(blocking=False):
            os._exit(self._say(self._platform("stopped")))

    def _say(self, ending: Ending) -> int:
        try:
            self._volumes.say(contract.ending_bytes(ending, self._room))
        except OSError as error:
            print(f"the last message cannot be written: {error}", file=sys.stderr)
        return EXIT_CODES[ending.verdict.reason]

    def _platform(self, message: str) -> Ending:
        return Ending(verdict=Verdict(step=self._name, reason=Reason.PLATFORM), message=message[:4096])

    def _run(self) -> Ending:
        work = self._volumes.work()
        self._room = contract.message_room(len(work.steps) + 1)
        step = next((step for step in work.steps if step.name == self._name), None)
        if step is None:
            raise RefusalError(f"the work has no step {self._name}, but {', '.join(step.name for step in work.steps)}")
        with _zygote(_profile(step, self._volumes)) as zygote:
            kept = _Kept(self._volumes, work)
            progress = self._progress(work, step, kept)
            if step.box in _CLOSED and (open_ := probe.first_open(self._probes)):
                raise RefusalError(f"the network is not closed: {open_[0]}:{open_[1]} takes a connection")
            self._wait_for(zygote)
            with orphans.Broom(lambda: {zygote.process_id or 0}):
                message = steps.run_step(
                    progress, step, zygote, kept, self._volumes.box, self._stopped.is_set, self._trust(step)
                )
        verdict = progress.verdicts[-1]
        if verdict.reason == Reason.COMPLETED:
            self._hand_on(step, progress, kept)
        return Ending(verdict=verdict, message=message)

    def _trust(self, step: Step) -> Trust:
        """A program of ours is heard while it runs, and told to end before it is killed."""
        if step.box is not BoxKind.PLATFORM:
            return NO_TRUST
        self._grace_seconds = contract.GRACE_SECONDS[step.box]
        return Trust(None if step.quiet else Relay(sys.stdout.fileno()).hear, self._grace_seconds)

    def _progress(self, work: Work, step: Step, kept: "_Kept") -> Progress:
        inputs = steps.read_inputs([entry for entry in work.inputs if entry.name in step.inputs], kept)
        secrets: Mapping[str, bytes] = {} if step.box in _CLOSED else self._volumes.secrets()
        sizes = {handover.name: handover.max_bytes for handover in work.handovers}
        if undeclared := set(step.reads) - set(sizes):
            raise RefusalError(
                f"step {step.name} reads {', '.join(sorted(undeclared))}, which the work does not declare"
            )
        progress = Progress(work, inputs, lambda _work, _step: secrets)
        progress.handovers |= {name: self._volumes.received(name, sizes[name]) for name in step.reads}
        return progress

    def _wait_for(self, zygote: Zygote) -> None:
        while not zygote.wait_started(_TICK_SECONDS):
            if self._stopped.is_set():
                raise RefusalError("stopped")

    def _hand_on(self, step: Step, progress: Progress, kept: "_Kept") -> None:
        for name in step.writes:
            self._volumes.hand_over(name, progress.handovers[name])
        for name, digest in progress.outputs.items():
            self._volumes.hand_out(name, kept.written[digest])


class _Kept:
    """Artifacts of one step: its inputs from the pod's folders, its outputs in memory until no cell lives."""

    def __init__(self, volumes: Volumes, work: Work) -> None:
        self._volumes = volumes
        self._names = {entry.digest: entry.name for entry in work.inputs}
        self.written: dict[Digest, bytes] = {}

    def read(self, digest: Digest) -> bytes:
        return self._volumes.input(self._names[digest])

    def write(self, data: bytes) -> Digest:
        digest = digest_of(data)
        self.written[digest] = data
        return digest


def _profile(step: Step, volumes: Volumes) -> Profile:
    """Of the step's kind, as its image has it, but warm only with what this one step needs: in a pod there is no second.

    What libraries cache when they are imported goes into the box's folder.
    """
    profile = PROFILES[step.box]
    cache = volumes.box / "cache"
    own = (step.program[0],) if step.program[0].startswith("fedwright_") else ()
    environment = {name: str(cache) if value == IMPORT_CACHE else value for name, value in profile.environment.items()}
    caches = environment != profile.environment
    if caches:
        cache.mkdir(mode=0o700, exist_ok=True)
    return replace(
        profile,
        imports=profile.imports if profile.hostile else (),  # what is seeded before generated code imports it
        programs=tuple(dict.fromkeys((*profile.programs, *own))) if step.fleet or not own else own,
        binds=(cache,) if caches else (),
        environment=_SAME_FIGURES | environment,
    )


@contextlib.contextmanager
def _zygote(profile: Profile) -> Iterator[Zygote]:
    """One that starts, and at the end nothing that it or its cells have started is alive."""
    abi = syscalls.landlock_abi()
    if platform.machine() != "x86_64":
        raise RefusalError(f"the filter of system calls is written for x86_64, this is {platform.machine()}")
    if profile.hostile and not abi:
        raise RefusalError("generated code is not run on a kernel without Landlock: use nodes with Linux 5.13 or later")
    if profile.hostile and os.geteuid() == 0:
        raise RefusalError("generated code is not run by root in a container: set runAsUser")
    zygote = Zygote(profile, None, sight.of(profile, abi))
    try:
        yield zygote
    finally:
        zygote.close()
        if not orphans.sweep((), _SWEEP_SECONDS):
            raise RefusalError("a process of the step could not be ended")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fedwright_boxes.pod.launch", description=__doc__.splitlines()[0])
    parser.add_argument("step", help="its name in the work")
    parser.add_argument(
        "--probe", nargs="+", action="extend", default=[], type=probe.target_of, metavar="HOST:PORT",
        help="whatever takes a connection from a box without a network ends the step",
    )  # fmt: skip
    parser.add_argument("--root", type=Path, default=Path("/"), help="outside a pod: a folder that stands for /")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    arguments = _arguments(argv)
    volumes = Volumes(arguments.root.absolute())
    launcher = Launcher(arguments.step, volumes, arguments.probe)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, launcher.stop)
    syscalls.set_dumpable(False)
    syscalls.adopt_orphans()
    os.umask(0o027)
    tempfile.tempdir = str(volumes.box)
    try:
        return launcher.run()
    finally:
        _tidy(volumes.box)


def _tidy(box: Path) -> None:
    """Memory that is left in the folder is the pod's until its end."""
    with contextlib.suppress(OSError):
        for path in box.iterdir():
            folders.remove(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
