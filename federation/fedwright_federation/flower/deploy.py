"""The program that runs an app on a federation: /box/in/deploy.json, app.zip -> /box/out/model.npz, metrics.json.

FEDWRIGHT_FEDERATION names the federation's home on this machine; without it /box/secret says how it is reached from a pod.
Each round is told on standard output as a line of JSON. It may be killed at any moment and run again, and so may all of the
federation: it finds the run that goes on, or starts one that resumes from the job's last complete round. Told to end
(SIGTERM), it stops the run.
"""

import hashlib
import io
import json
import os
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
from pydantic import ValidationError

from fedwright_crds.box import Box
from fedwright_crds.documents import DeployInput, DeploymentMetrics, RoundMetrics
from fedwright_federation.algorithm.tree import Tree
from fedwright_federation.flower.control import Control, Run, Setting
from fedwright_federation.flower.home import Home
from fedwright_federation.flower.plain import NoPlainFileError
from fedwright_federation.flower.site import MachineSite, PodSite, Site
from fedwright_federation.packaging.fedwright_app.results import model_digest

HOME_VARIABLE = "FEDWRIGHT_FEDERATION"
MODEL, METRICS = "model.npz", "metrics.json"
POLL_SECONDS = 0.5
VAIN_STARTS = 3
"""A run that is lost is started again; this often without a new round, and it is given up."""
LAST_WORDS = 4000


class DeploymentFailedError(Exception):
    """The run does not come to its end."""


def main(argv: Sequence[str] | None = None) -> int:
    del argv
    box = Box.here()
    order = DeployInput.model_validate_json(box.input("deploy.json").read_bytes())
    stops: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stops.append(number))
    job = Job.of(order, box.input("app.zip").read_bytes(), _site(box))
    try:
        outcome = Submission(job).follow(lambda: bool(stops), _tell)
    except (DeploymentFailedError, NoPlainFileError) as problem:
        print(problem, file=sys.stderr)
        return 1
    if outcome is None:
        return 128 + stops[0]
    for name, content in outcome.items():
        box.output(name).write_bytes(content)
    return 0


@dataclass(frozen=True)
class Job:
    """What is to be run. Its name says which app it is too: another app never goes on from this one's checkpoint."""

    name: str
    bundle: bytes
    rounds: int
    site: Site

    @classmethod
    def of(cls, order: DeployInput, app: bytes, site: Site) -> "Job":
        bundle = _bundled(app)
        plain = "".join(letter if letter.isalnum() else "-" for letter in order.job)[:64]
        name = f"{plain}-{hashlib.sha256(bundle).hexdigest()[:12]}"
        return cls(name, bundle, order.rounds, site)

    def metrics(self) -> DeploymentMetrics | None:
        """What its ServerApp has said so far."""
        try:
            return DeploymentMetrics.model_validate_json(self.site.result(self.name, METRICS))
        except FileNotFoundError:
            return None
        except ValidationError as problem:
            raise DeploymentFailedError(f"the ServerApp left {METRICS} that are none: {problem}") from problem

    @property
    def round(self) -> int:
        return _round(self.metrics())

    @property
    def done(self) -> bool:
        return self.outcome() is not None

    def outcome(self) -> dict[str, bytes] | None:
        """The model of the last round and the metrics, when they are there, and whole."""
        metrics = self.metrics()
        if metrics is None or not metrics.model_digest or _round(metrics) != self.rounds:
            return None
        model = self.site.result(self.name, MODEL)
        if model_digest(_floats(model)) != metrics.model_digest:
            return None
        return {MODEL: model, METRICS: metrics.model_dump_json(by_alias=True).encode()}


class Submission:
    """Gets a job done on a federation whose parts may be lost meanwhile."""

    def __init__(self, job: Job) -> None:
        self._job, self._site = job, job.site
        self._run: int | None = None
        self._reached, self._vain = 0, 0

    def follow(self, stopping: Callable[[], bool], tell: Callable[[RoundMetrics], None]) -> dict[str, bytes] | None:
        """Until the job is done: what it left. None where it must be stopped before. Raises DeploymentFailedError."""
        told = 0
        while True:
            with _patience():
                told = self._tell_after(told, tell)
                if outcome := self._job.outcome():
                    return outcome
            if stopping():
                self._stop()
                return None
            with _patience():
                self._step()
            time.sleep(POLL_SECONDS)

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
        with self._site.control() as control:
            if self._run is None:
                self._reached = self._job.round
                self._run = self._going(control) or self._start(control)
                return
            run = control.run(self._run)
            if run.finished and not self._job.done:
                self._lost(control, run)

    def _going(self, control: Control) -> int | None:
        """A run of this job that an earlier life of this program started."""
        runs = [run for run in control.runs() if run.settings.get("job") == self._job.name]
        return next((run.id for run in runs if not run.finished), None)

    def _start(self, control: Control) -> int:
        settings: dict[str, Setting] = {
            "job": self._job.name,
            "rounds": self._job.rounds,
            "clients": self._site.nodes_wanted(),
        }
        return control.start(self._job.bundle, settings)

    def _lost(self, control: Control, run: Run) -> None:
        """Let the next step start another, unless too many in a row came no further."""
        print(f"run {run.id} {run.outcome}: {run.details}", file=sys.stderr, flush=True)
        self._vain = 0 if self._job.round > self._reached else self._vain + 1
        if self._vain >= VAIN_STARTS:
            words = control.logs(run.id)[-LAST_WORDS:]
            raise DeploymentFailedError(f"{words}\n{VAIN_STARTS} runs in a row came no further: {run.details}")
        self._run = None

    def _stop(self) -> None:
        """Also what an earlier life of this program started."""
        with suppress(httpx.HTTPError, FileNotFoundError), self._site.control() as control:
            if (run := self._run or self._going(control)) is not None:
                control.stop(run)


@contextmanager
def _patience() -> Iterator[None]:
    """What is away comes back, and one in trouble (5xx) is asked again; one that refuses will go on refusing."""
    try:
        yield
    except (httpx.TransportError, FileNotFoundError):
        return
    except httpx.HTTPStatusError as problem:
        if problem.response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
            raise DeploymentFailedError(f"{problem}: {problem.response.text[:LAST_WORDS]}") from problem


def _site(box: Box) -> Site:
    if home := os.environ.get(HOME_VARIABLE):
        return MachineSite(Home(Path(home)))
    return PodSite(box.secret("reach.json").parent)


def _bundled(app: bytes) -> bytes:
    """The app's folder as a Flower app bundle."""
    with zipfile.ZipFile(io.BytesIO(app)) as archive:
        found = {path: archive.read(path) for path in archive.namelist()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a spelling of pathspec's that Flower 1.41 uses
        return build_fab_from_files(found)[0]


def _tell(one: RoundMetrics) -> None:
    print(json.dumps(one.model_dump(exclude_none=True)), flush=True)


def _round(metrics: DeploymentMetrics | None) -> int:
    return metrics.rounds[-1].round if metrics and metrics.rounds else 0


def _floats(model: bytes) -> Tree:
    try:
        with np.load(io.BytesIO(model), allow_pickle=False) as arrays:
            return {key: np.asarray(value, np.float32) for key, value in arrays.items()}
    except (ValueError, EOFError, TypeError, zipfile.BadZipFile) as problem:
        raise DeploymentFailedError(f"the ServerApp left a {MODEL} that is none: {problem}") from problem


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
