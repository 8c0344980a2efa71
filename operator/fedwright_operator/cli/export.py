"""What a finished request leaves in its home for people: code, report, model, the deployment's metrics, `result.json`."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.documents import CandidateCode, Decision
from fedwright_crds.request import FLStrategyRequest
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.files import write_whole
from fedwright_operator.local.home import Home
from fedwright_operator.local.store import Store
from fedwright_operator.local.transcripts import charged_in
from fedwright_operator.local.usage import Usage
from fedwright_operator.reconcile.reporting import judged_on
from fedwright_operator.verdict import document


def export(home: Home, request: FLStrategyRequest) -> None:
    """Write all that there is, beside each other below the home's root."""
    usage = Usage(home.usage / f"{request.metadata.uid}.json")
    store, artifacts = Store(home.resources), Artifacts(home.artifacts)
    candidates = [one for one in store.owned_by(request) if isinstance(one, Candidate)]
    _code(home.root / "code", candidates, artifacts)
    _copy(artifacts, request.status.report, home.root / "report.html")
    _deployment(home, store.get(Deployment, request.metadata.name, request.metadata.namespace), artifacts)
    result = document(
        request,
        _decision(request, artifacts),
        candidates,
        judged_on=judged_on(request),
        charged=charged_in(home, request.metadata.uid or ""),
        seconds=usage.seconds,
        peak_memory_mib=usage.peak_memory_mib,
    )
    write_whole(home.root / "result.json", json.dumps(result, indent=2).encode())


def _decision(request: FLStrategyRequest, artifacts: Artifacts) -> Decision | None:
    digest = request.status.decision
    return Decision.model_validate_json(artifacts.read(digest)) if digest else None


def _code(folder: Path, candidates: Sequence[Candidate], artifacts: Artifacts) -> None:
    """The draft that passed, else the last one, of every candidate that has code. File names are checked by the model."""
    shutil.rmtree(folder, ignore_errors=True)
    for one in candidates:
        digest = one.status.code or (one.status.attempts[-1].code if one.status.attempts else None)
        if digest is None:
            continue
        code = CandidateCode.model_validate_json(artifacts.read(digest))
        for name, text in code.files.items():
            write_whole(folder / one.metadata.name / name, text.encode())


def _deployment(home: Home, deployment: Deployment | None, artifacts: Artifacts) -> None:
    status = deployment.status if deployment else None
    _copy(artifacts, status.model if status else None, home.root / "model.npz")
    _copy(artifacts, status.metrics if status else None, home.root / "deployment" / "metrics.json")


def _copy(artifacts: Artifacts, digest: str | None, path: Path) -> None:
    """The artifact, or nothing: what an earlier request left there would be mistaken for this one's."""
    path.unlink(missing_ok=True)
    if digest:
        write_whole(path, artifacts.read(digest))
