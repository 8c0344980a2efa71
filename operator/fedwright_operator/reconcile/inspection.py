"""What the judge box says of a request's data, before anything is planned."""

from collections.abc import Mapping

from fedwright_crds.documents import DataFacts, Problem
from fedwright_crds.judging_work import inspect_work
from fedwright_crds.request import RequestSpec
from fedwright_crds.work import BoxKind
from fedwright_operator.reconcile.desk import Desk


class Invalid(Exception):  # noqa: N818 - control flow of a pass
    """The request asks for what cannot be; the words name the field and the mend."""


def inspected(desk: Desk, spec: RequestSpec, images: Mapping[BoxKind, str]) -> DataFacts:
    """Facts of the data. Raises Invalid where the data refuses the request, Unfinished while they are looked for."""
    result = desk.succeeded(inspect_work(desk.put("task.json", spec.task), images))
    if "problem.json" in result.outputs:
        problem = desk.document(Problem, result, "problem.json")
        raise Invalid(f"{problem.field}: {problem.message}; {problem.mend}")
    return desk.document(DataFacts, result, "facts.json")
