"""The lessons of a home: which a new request may search, and what a finished one adds. The agents' own program reads them."""

import subprocess
import sys

from fedwright_crds.lessons import whole_lines
from fedwright_crds.request import FLStrategyRequest
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.home import Home
from fedwright_operator.local.works import Works
from fedwright_operator.reconcile.learning import ANNOTATION, LEARN, OUTPUT, searches

PROGRAM = "fedwright_agents.knowledge"
NONE = b"[]"


def with_lessons(home: Home, request: FLStrategyRequest) -> FLStrategyRequest:
    """A request that is about to be created, with the digest of what this home has learned so far, if it will search that."""
    meta = request.metadata
    if ANNOTATION in meta.annotations or not searches(request):
        return request
    known = home.lessons.read_bytes() if home.lessons.exists() else b""
    whole = b"".join(whole_lines(known))
    if not whole:
        return request
    annotations = {**meta.annotations, ANNOTATION: Artifacts(home.artifacts).write(whole)}
    return request.model_copy(update={"metadata": meta.model_copy(update={"annotations": annotations})})


def keep_lessons(home: Home, request: FLStrategyRequest) -> None:
    """Add what the request taught to its home, once, however often it is done. A failure is told and undoes nothing."""
    works, artifacts = Works(home.works), Artifacts(home.artifacts)
    for work_id in sorted(works.wanted(request.metadata.uid or "")):
        result = works.get(work_id)
        digest = result.outputs.get(OUTPUT) if result and result.kind == LEARN else None
        if digest and artifacts.read(digest) != NONE:
            _add(home, str(artifacts.path(digest).absolute()))


def _add(home: Home, file: str) -> None:
    words = [sys.executable, "-m", PROGRAM, "add", file, "--lessons", str(home.lessons.absolute())]
    added = subprocess.run(words, capture_output=True, text=True, check=False)
    if added.returncode:
        print(f"fedwright: lessons were not kept: {added.stderr.strip()[-500:]}", file=sys.stderr)
