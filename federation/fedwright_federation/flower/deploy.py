"""The program that runs an app on a federation: /box/in/deploy.json, app.zip -> /box/out/model.npz, metrics.json.

FEDWRIGHT_FEDERATION names the federation's home. Each round is told on standard output as a line of JSON. It may be killed at
any moment and run again, and so may all of the federation: it finds the run that goes on, or starts one that resumes
from the job's last complete round. Told to end (SIGTERM), it stops the run.
"""

import hashlib
import io
import json
import os
import shutil
import signal
import sys
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from flwr.cli.build import build_fab_from_files

from fedwright_crds.box import Box
from fedwright_crds.documents import DeployInput, DeploymentMetrics, RoundMetrics
from fedwright_federation.algorithm.tree import Tree
from fedwright_federation.flower.control import Control, Run, Setting
from fedwright_federation.flower.home import Home
from fedwright_federation.flower.status import Status
from fedwright_federation.packaging.fedwright_app.results import model_digest
from fedwright_federation.packaging.files import read_arrays

HOME_VARIABLE = "FEDWRIGHT_FEDERATION"
POLL_SECONDS = 0.5
VAIN_STARTS = 3
"""A run that is lost is started again; this often without a new round, and it is given up."""
LAST_WORDS = 4000


class DeploymentFailedError(Exception):
    """The run does not come to its end."""


def main(argv: Sequence[str] | None = None) -> int:
    del argv
    box, home = Box.here(), Home(Path(os.environ[HOME_VARIABLE]))
    order = DeployInput.model_validate_json(box.input("deploy.json").read_bytes())
    stops: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stops.append(number))
    job = Job.of(order, box.input("app.zip").read_bytes(), home)
    try:
        Submission(job, home).follow(lambda: bool(stops), _tell)
    except DeploymentFailedError as problem:
        print(problem, file=sys.stderr)
        return 1
    if stops:
        return 128 + stops[0]
    for name in ("model.npz", "metrics.json"):
        shutil.copyfile(job.folder / name, box.output(name))
    return 0


@dataclass(frozen=True)
class Job:
    """What is to be run. Its name says which app it is too: another app never goes on from this one's checkpoint."""

    name: str
    bundle: bytes
    rounds: int
    folder: Path
    """Where the ServerApp leaves its results."""

    @classmethod
    def of(cls, order: DeployInput, app: bytes, home: Home) -> "Job":
        bundle = _bundled(app)
        plain = "".join(letter if letter.isalnum() else "-" for letter in order.job)[:64]
        name = f"{plain}-{hashlib.sha256(bundle).hexdigest()[:12]}"
        return cls(name, bundle, order.rounds, home.results / name)

    def metrics(self) -> DeploymentMetrics | None:
        """What its ServerApp has said so far."""
        try:
            return DeploymentMetrics.model_validate_json((self.folder / "metrics.json").read_bytes())
        except FileNotFoundError:
            return None

    @property
    def round(self) -> int:
        metrics = self.metrics()
        return metrics.rounds[-1].round if metrics and metrics.rounds else 0

    @property
    def done(self) -> bool:
        """Whether the model of the last round is there, and whole."""
        metrics = self.metrics()
        if metrics is None or not metrics.model_digest or self.round != self.rounds:
            return False
        return model_digest(_floats(self.folder / "model.npz")) == metrics.model_digest


class Submission:
    """Gets a job done on a federation whose parts may be lost meanwhile."""

    def __init__(self, job: Job, home: Home) -> None:
        self._job, self._home = job, home
        self._run: int | None = None
        self._reached, self._vain = job.round, 0

    def follow(self, stopping: Callable[[], bool], tell: Callable[[RoundMetrics], None]) -> None:
        """Until the job is done or must be stopped. Raises DeploymentFailedError."""
        told = 0
        while not (done := self._job.done):
            if stopping():
                self._stop()
                return
            # What is away comes back: the SuperLink restarts, the federation writes its status.
            with suppress(httpx.TransportError, FileNotFoundError), _refusals():
                self._step()
            told = self._tell_after(told, tell)
            time.sleep(POLL_SECONDS)
        if done:
            self._tell_after(told, tell)

    def _tell_after(self, told: int, tell: Callable[[RoundMetrics], None]) -> int:
        """Rounds are told when they are measured, which is when the next one's answers are there."""
        metrics = self._job.metrics()
        for one in metrics.rounds if metrics else ():
            if one.round > told and one.accuracy is not None:
                tell(one)
                told = one.round
        return told

    def _step(self) -> None:
        """Look at the run; find or start one where there is none."""
        status = Status.read(self._home.status)
        with self._control(status) as control:
            if self._run is None:
                self._run = self._going(control) or self._start(control, status)
                return
            run = control.run(self._run)
            if run.finished and not self._job.done:
                self._lost(control, run)

    def _going(self, control: Control) -> int | None:
        """A run of this job that an earlier life of this program started."""
        runs = [run for run in control.runs() if run.settings.get("job") == self._job.name]
        return next((run.id for run in runs if not run.finished), None)

    def _start(self, control: Control, status: Status) -> int:
        settings: dict[str, Setting] = {
            "job": self._job.name,
            "rounds": self._job.rounds,
            "clients": status.nodes_wanted,
        }
        return control.start(self._job.bundle, settings)

    def _lost(self, control: Control, run: Run) -> None:
        """Let the next step start another, unless too many in a row came no further."""
        print(f"run {run.id} {run.outcome}: {run.details}", file=sys.stderr, flush=True)
        self._vain = 0 if self._job.round > self._reached else self._vain + 1
        self._reached = self._job.round
        if self._vain >= VAIN_STARTS:
            words = control.logs(run.id)[-LAST_WORDS:]
            raise DeploymentFailedError(f"{words}\n{VAIN_STARTS} runs in a row came no further: {run.details}")
        self._run = None

    def _stop(self) -> None:
        with suppress(httpx.HTTPError, FileNotFoundError):
            status = Status.read(self._home.status)
            if self._run is not None:
                with self._control(status) as control:
                    control.stop(self._run)

    def _control(self, status: Status) -> Control:
        token = self._home.control_token.read_text()
        return Control(status.control_address, self._home.authority.read_bytes(), token)


@contextmanager
def _refusals() -> Iterator[None]:
    """A SuperLink in trouble (5xx) is asked again; one that refuses will go on refusing."""
    try:
        yield
    except httpx.HTTPStatusError as problem:
        if problem.response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
            raise DeploymentFailedError(f"{problem}: {problem.response.text[:LAST_WORDS]}") from problem


def _bundled(app: bytes) -> bytes:
    """The app's folder as a Flower app bundle."""
    with zipfile.ZipFile(io.BytesIO(app)) as archive:
        found = {path: archive.read(path) for path in archive.namelist()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a spelling of pathspec's that Flower 1.41 uses
        return build_fab_from_files(found)[0]


def _tell(one: RoundMetrics) -> None:
    print(json.dumps(one.model_dump(exclude_none=True)), flush=True)


def _floats(path: Path) -> Tree:
    return {key: np.asarray(value, np.float32) for key, value in read_arrays(path).items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
