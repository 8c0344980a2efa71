"""What requests learn of each other: the lessons of one that has ended, and those that the planner of a later one may search.

Which lessons a request may search is fixed when it is created, by the digest in an annotation: what others learn meanwhile
must not ask its planner anew.
"""

import re

from fedwright_crds.request import CATALOGUE, FLStrategyRequest
from fedwright_crds.work import Input
from fedwright_operator.reconcile.api import Observed
from fedwright_operator.reconcile.inspection import Invalid

ANNOTATION = "fedwright.dev/lessons"
LEARN = "learn"
OUTPUT = "lessons.json"
"""Of the work: a list of lessons."""
INPUT = "lessons.jsonl"
"""Of the planner: a lesson a line."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def searches(request: FLStrategyRequest) -> bool:
    """Whether its planner looks anything up; the catalogue's knows what it knows."""
    return request.spec.minds.planner != CATALOGUE


def lessons_for(observed: Observed[FLStrategyRequest]) -> tuple[Input, ...]:
    """The planner's further input; none where there is nothing to search. Raises Invalid for lessons that are not there."""
    digest = observed.resource.metadata.annotations.get(ANNOTATION)
    if digest is None or not searches(observed.resource):
        return ()
    field = f"metadata.annotations[{ANNOTATION}]"
    if not _DIGEST.fullmatch(digest):
        raise Invalid(f"{field}: {digest[:80]!r} is no digest; remove it")
    try:
        observed.read(digest)
    except KeyError:
        raise Invalid(f"{field}: there is no artifact {digest}; remove it") from None
    return (Input(name=INPUT, digest=digest),)
