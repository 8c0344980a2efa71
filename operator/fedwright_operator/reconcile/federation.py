"""Federation: its processes are up, its nodes connected, its certificates valid."""

from fedwright_crds.federation import Federation, FederationPhase, FederationStatus
from fedwright_operator.reconcile.api import Observed, Plan, Release, ReleaseStatus
from fedwright_operator.reconcile.conditions import Fact, conditions

POLL_SECONDS = 2.0


def plan(observed: Observed[Federation]) -> Plan[Federation]:
    """One pass over a federation: it is always wanted; its status says what is seen."""
    federation = observed.resource
    wanted = sum(group.nodes for group in federation.spec.groups)
    phase, message = _phase(observed.release, wanted)
    seen = observed.release
    generation = federation.metadata.generation or 0
    status = FederationStatus(
        phase=phase,
        observed_generation=generation,
        conditions=conditions(
            federation.status.conditions,
            [Fact("Ready", phase is FederationPhase.READY, str(phase), message)],
            observed.now,
            generation,
        ),
        nodes_wanted=wanted,
        nodes_connected=seen.nodes_connected if seen else 0,
        address=seen.address if seen else "",
        certificate_expires_at=seen.certificate_expires_at if seen else "",
    )
    return Plan(
        federation.model_copy(update={"status": status}),
        release=Release(federation.metadata.name, federation.spec),
        requeue_seconds=POLL_SECONDS,
    )


def _phase(seen: ReleaseStatus | None, wanted: int) -> tuple[FederationPhase, str]:
    if seen is None:
        return FederationPhase.PENDING, "not started yet"
    nodes = f"{seen.nodes_connected} of {wanted} nodes connected"
    message = f"{nodes}; {seen.message}" if seen.message else nodes
    if not seen.ready:
        return FederationPhase.STARTING, message
    return (FederationPhase.READY if seen.nodes_connected >= wanted else FederationPhase.DEGRADED), message
