"""What requests learn of each other: the lessons of one that has ended, and those that the planner of a later one may search.

Which lessons a request may search is fixed before anything of it is wanted: what others learn meanwhile must not ask its
planner anew. A person, or the shell of one machine, names their digest in an annotation when the request is created; else
what the shell knows of is pinned in the status, at the first reconcile.
"""

import re
from collections.abc import Container

from fedwright_crds.base import Digest
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


def pins(request: FLStrategyRequest) -> bool:
    """Whether it is still to be said what its planner may search."""
    begun = request.status.frozen_spec is not None
    return searches(request) and not begun and ANNOTATION not in request.metadata.annotations


def lessons_for(
    observed: Observed[FLStrategyRequest], pinned: Digest | None, at_hand: Container[str]
) -> tuple[Input, ...]:
    """The planner's further input; none where there is nothing to search. Raises Invalid for lessons that are not there.

    `at_hand` are artifacts that this pass writes.
    """
    annotations = observed.resource.metadata.annotations
    digest = annotations.get(ANNOTATION, pinned)
    if digest is None or not searches(observed.resource):
        return ()
    field, mend = "status.lessons", "apply the request under another name"
    if ANNOTATION in annotations:
        field, mend = f"metadata.annotations[{ANNOTATION}]", "remove it"
    if not _DIGEST.fullmatch(digest):
        raise Invalid(f"{field}: {digest[:80]!r} is no digest; {mend}")
    if digest not in at_hand:
        try:
            observed.read(digest)
        except KeyError:
            raise Invalid(f"{field}: there is no artifact {digest}; {mend}") from None
    return (Input(name=INPUT, digest=digest),)
