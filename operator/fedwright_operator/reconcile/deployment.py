"""Deployment: an artifact submitted to a federation, followed to its end, its model and metrics collected."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedwright_crds.deployment import Deployment, DeploymentPhase, DeploymentStatus
from fedwright_crds.documents import DeployInput, DeploymentMetrics
from fedwright_crds.federation import FederationPhase
from fedwright_crds.work import Input, Outcome, WorkResult
from fedwright_operator.reconcile import works
from fedwright_operator.reconcile.api import Observed, Plan
from fedwright_operator.reconcile.conditions import Fact, condition, conditions
from fedwright_operator.reconcile.desk import Desk, GaveUp, failure_text

SECONDS_A_ROUND = 120
"""Of the deadline: a real round with a lost node waits for its heartbeat to lapse."""
START_SECONDS = 600


@dataclass(frozen=True)
class Seen:
    phase: DeploymentPhase
    message: str = ""
    result: WorkResult | None = None
    metrics: DeploymentMetrics | None = None


def plan(observed: Observed[Deployment]) -> Plan[Deployment]:
    """One pass over a deployment."""
    deployment = observed.resource
    retried = deployment.spec.retry_token != deployment.status.retry_token
    if deployment.status.phase.terminal and not retried:
        return Plan(deployment)
    desk = Desk(observed.results, observed.read, deployment.status.retries + retried)
    seen = _see(observed, desk)
    if seen.phase.terminal:
        desk.works.clear()
    return Plan(
        deployment.model_copy(update={"status": _status(observed, desk, seen)}),
        works=tuple(desk.works),
        artifacts=desk.artifacts,
    )


def _see(observed: Observed[Deployment], desk: Desk) -> Seen:
    spec, federation = observed.resource.spec, observed.federation
    if spec.abort:
        return Seen(DeploymentPhase.FAILED, "aborted by a person")
    if federation is None:
        return Seen(DeploymentPhase.PENDING, f"spec.federation names {spec.federation}, which does not exist yet")
    if federation.status.phase is not FederationPhase.READY and not _begun(observed.resource):
        return Seen(DeploymentPhase.PENDING, f"the federation {spec.federation} is {federation.status.phase}")
    order = DeployInput(job=observed.resource.metadata.uid or observed.resource.metadata.name, rounds=spec.rounds)
    work = works.deploy_work(
        desk.put("deploy.json", order),
        Input(name="app.zip", digest=spec.package),
        spec.federation,
        observed.images,
        START_SECONDS + SECONDS_A_ROUND * spec.rounds,
    )
    result = desk.result(work)
    if result is None:
        return Seen(DeploymentPhase.RUNNING, _progress(observed, desk))
    if result.outcome is not Outcome.SUCCEEDED:
        return Seen(DeploymentPhase.FAILED, failure_text(result), result)
    try:
        return Seen(DeploymentPhase.SUCCEEDED, "", result, desk.document(DeploymentMetrics, result, "metrics.json"))
    except GaveUp as failure:
        return Seen(DeploymentPhase.FAILED, str(failure), result)


def _begun(deployment: Deployment) -> bool:
    """Once it runs, a federation that is away for a while does not stop it: the run waits for its nodes."""
    return deployment.status.phase is DeploymentPhase.RUNNING


def _told(observed: Observed[Deployment], desk: Desk) -> Mapping[str, float]:
    """What the running work said last: its round, and how good the model was that the round before left."""
    return next((told for work in desk.works if (told := observed.progress.get(work.id))), {})


def _progress(observed: Observed[Deployment], desk: Desk) -> str:
    return f"round {int(_told(observed, desk).get('round', 0))} of {observed.resource.spec.rounds}"


def _degraded(observed: Observed[Deployment], seen: Seen) -> Fact:
    """Whether it runs on fewer nodes than are wanted, or waits for a SuperLink that is away."""
    federation = observed.federation
    if seen.phase is not DeploymentPhase.RUNNING or federation is None:
        return Fact("Degraded", False, str(seen.phase))
    if federation.status.phase is FederationPhase.READY:
        return Fact("Degraded", False, "FederationReady")
    ready = condition(federation.status.conditions, "Ready")
    why = f"the federation {federation.metadata.name} is {federation.status.phase}"
    return Fact("Degraded", True, "FederationNotReady", f"{why}: {ready.message}" if ready else why)


def _status(observed: Observed[Deployment], desk: Desk, seen: Seen) -> DeploymentStatus:
    deployment = observed.resource
    before, generation = deployment.status, deployment.metadata.generation or 0
    rounds = seen.metrics.rounds if seen.metrics else ()
    outputs, told = seen.result.outputs if seen.result else {}, _told(observed, desk)
    facts = [
        Fact("Progressing", not seen.phase.terminal, str(seen.phase), seen.message),
        _degraded(observed, seen),
        Fact("Succeeded", seen.phase is DeploymentPhase.SUCCEEDED, str(seen.phase), seen.message),
        Fact("Finished", seen.phase.terminal, str(seen.phase), seen.message),
    ]
    return DeploymentStatus(
        phase=seen.phase,
        observed_generation=generation,
        conditions=conditions(before.conditions, facts, observed.now, generation),
        run=seen.metrics.run if seen.metrics else before.run,
        round=rounds[-1].round if rounds else max(before.round, int(told.get("round", 0))),
        accuracy=rounds[-1].accuracy if rounds else told.get("accuracy", before.accuracy),
        model=outputs.get("model.npz"),
        metrics=outputs.get("metrics.json"),
        restarts=seen.metrics.restarts if seen.metrics else before.restarts,
        retries=desk.retries,
        retry_token=deployment.spec.retry_token,
    )
