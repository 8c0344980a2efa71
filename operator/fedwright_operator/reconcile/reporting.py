"""What a report shows: everything that was found on the way, and nothing that changes once the answer is there."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.documents import (
    DataFacts,
    Decision,
    DeploymentMetrics,
    Grade,
    ReportCandidate,
    ReportInput,
    Score,
)
from fedwright_crds.documents import Plan as SearchPlan
from fedwright_crds.meta import Spent
from fedwright_crds.request import FLStrategyRequest, RequestSpec
from fedwright_operator.costs import Charged, with_roles
from fedwright_operator.reconcile.desk import Desk
from fedwright_operator.reconcile.standings import minds_view, outcome
from fedwright_operator.verdict import decided


@dataclass(frozen=True)
class Findings:
    """What came of a request."""

    request: FLStrategyRequest
    facts: DataFacts
    plan: SearchPlan
    candidates: tuple[Candidate, ...]
    grades: Mapping[str, tuple[Grade, ...]]
    decision: Decision
    deployment: Deployment | None
    spent: Spent
    charged: Charged


def report_input(found: Findings, desk: Desk) -> ReportInput:
    """The findings as the report's document; scores and metrics are read from their artifacts."""
    order = sorted(found.candidates, key=lambda one: one.metadata.name)
    return ReportInput(
        request=found.request.metadata.name,
        spec=_told(found.request.spec),
        facts=found.facts,
        plan=found.plan,
        candidates=tuple(_candidate(one, found.grades.get(one.metadata.name, ()), desk) for one in order),
        decision=found.decision,
        verdict=decided(found.decision, {one.metadata.name: one.spec.title for one in found.candidates}),
        deployment=_metrics(found.deployment, desk),
        judged_on=judged_on(found.request),
        spent=with_roles(found.spent, found.charged),
    )


def _told(spec: RequestSpec) -> RequestSpec:
    """What minds may see, and what they may not: who stood behind which role, and what it was allowed."""
    return minds_view(spec).model_copy(update={"minds": spec.minds, "budgets": spec.budgets})


def _candidate(one: Candidate, grades: tuple[Grade, ...], desk: Desk) -> ReportCandidate:
    scores = [Score.model_validate_json(desk.read(digest)) for digest in one.status.finals]
    first = scores[0] if scores else None
    return ReportCandidate(
        outcome=outcome(one).model_copy(update={"best": one.status.final or one.status.best}),
        curves=tuple(score.curve for score in scores),
        per_client=first.per_client if first else (),
        probe=first.probe if first else None,
        grades=grades,
    )


def _metrics(deployment: Deployment | None, desk: Desk) -> DeploymentMetrics | None:
    if deployment is None or deployment.status.metrics is None:
        return None
    return DeploymentMetrics.model_validate_json(desk.read(deployment.status.metrics))


def judged_on(request: FLStrategyRequest) -> str:
    task = request.spec.task
    return f"{task.data.source} split over {task.clients} simulated clients ({task.partition.kind}); a fleet's own data is elsewhere"
