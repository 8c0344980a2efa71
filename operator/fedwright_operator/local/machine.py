"""One machine put together: the sandboxes, the platform's own programs, the fleets, and the loop over a home."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event

from fedwright_boxes import LocalBoxes, image_digests
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.work import BoxKind, Work, WorkResult
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.home import Home
from fedwright_operator.local.loop import Loop
from fedwright_operator.local.models import Models
from fedwright_operator.local.platform import PlatformBoxes
from fedwright_operator.local.releases import Releases
from fedwright_operator.local.transcripts import charged_in
from fedwright_operator.reconcile import request
from fedwright_operator.reconcile.api import Observed, Plan
from fedwright_operator.shell.planning import PLANNERS, Planners


@contextmanager
def machine(home: Home, *, unsafe_no_sandbox: bool = False) -> Iterator[Loop]:
    """The loop of a home, for the holder of its lock. All children are ended on the way out."""
    shutil.rmtree(home.scratch, ignore_errors=True)
    artifacts, code, models = Artifacts(home.artifacts), _users_code(), Models(home)
    boxes = LocalBoxes(
        artifacts,
        scratch=home.scratch,
        unsafe_no_sandbox=unsafe_no_sandbox,
        extra_code={BoxKind.JUDGE: code},
        secrets=models.secrets,
    )
    platform = PlatformBoxes(artifacts, home, lambda *said: loop.scheduler.progress(*said))

    def execute(work: Work, cancelled: Event) -> WorkResult:
        trusted = all(step.box is BoxKind.PLATFORM for step in work.steps)
        return (platform if trusted else boxes).run(work, cancelled)

    with boxes:
        loop = Loop(home, planners(home), execute, image_digests(), Releases(home, code))
        try:
            yield loop
        finally:
            loop.close()
            models.close()


def planners(home: Home) -> Planners:
    """The reconcilers, with what the gateway of this home charged for the one that tells it."""

    def plan(observed: Observed[FLStrategyRequest]) -> Plan[FLStrategyRequest]:
        uid = observed.resource.metadata.uid or ""
        return request.plan(replace(observed, charged=lambda: charged_in(home, uid)))

    return replace(PLANNERS, request=plan)


def _users_code() -> tuple[Path, ...]:
    """Where a user's own data entry points are imported from: the folders on PYTHONPATH."""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return tuple(Path(one).absolute() for one in named if one and Path(one).is_dir())
