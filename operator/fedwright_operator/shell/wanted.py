"""Of all that plans want: whose a work is, and whose comes first."""

from fedwright_crds.candidate import Candidate, Origin
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.work import Work
from fedwright_operator.shell.kinds import AnyResource


def labelled(work: Work, whose: AnyResource) -> Work:
    """With whose it is written on it, for people and for the folders of a platform box."""
    labels = {"kind": whose.kind, "namespace": whose.metadata.namespace, "name": whose.metadata.name}
    return work.model_copy(update={"labels": {**work.labels, **labels}})


def urgency(resource: AnyResource) -> tuple[int, int, str, str]:
    """Whose work comes first: requests, deployments, candidates by generation, baselines before others."""
    meta = resource.metadata
    match resource:
        case Candidate():
            spec = resource.spec
            return (
                2,
                2 * spec.generation + (spec.origin is not Origin.BASELINE),
                meta.creation_timestamp or "",
                meta.name,
            )
        case FLStrategyRequest():
            return 0, 0, meta.creation_timestamp or "", meta.name
        case _:
            return 1, 0, meta.creation_timestamp or "", meta.name
