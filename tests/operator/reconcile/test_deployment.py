"""A rollout as its status tells it: how far it is, how good, and whether its federation is whole."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from world import IMAGES

from fedwright_crds.deployment import Deployment, DeploymentPhase, DeploymentSpec
from fedwright_crds.federation import Federation, FederationPhase, FederationSpec, FederationStatus
from fedwright_crds.meta import Metadata, Truth
from fedwright_operator.reconcile import deployment
from fedwright_operator.reconcile.api import Observed, Plan
from fedwright_operator.reconcile.conditions import Fact, condition, conditions

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PACKAGE = "sha256:" + "a" * 64


def fleet(phase: FederationPhase, message: str = "") -> Federation:
    spec = FederationSpec.model_validate_json('{"groups": [{"name": "edge", "nodes": 2, "data": {"path": "/data"}}]}')
    facts = [Fact("Ready", phase is FederationPhase.READY, str(phase), message)]
    status = FederationStatus(phase=phase, conditions=conditions((), facts, NOW, 1))
    return Federation(metadata=Metadata(name="fleet", uid="uid-fleet", generation=1), spec=spec, status=status)


def planned(
    one: Deployment, federation: Federation | None, progress: Mapping[str, Mapping[str, float]] | None = None
) -> Plan[Deployment]:
    def nothing(digest: str) -> bytes:
        raise KeyError(digest)

    return deployment.plan(Observed(one, NOW, IMAGES, {}, nothing, federation=federation, progress=progress or {}))


@pytest.fixture
def running() -> Plan[Deployment]:
    meta = Metadata(name="rollout", uid="uid-rollout", generation=1)
    one = Deployment(metadata=meta, spec=DeploymentSpec(package=PACKAGE, federation="fleet", rounds=8))
    plan = planned(one, fleet(FederationPhase.READY))
    assert plan.resource.status.phase is DeploymentPhase.RUNNING
    return plan


def test_while_it_runs_its_round_and_accuracy_are_told_and_never_go_back(running: Plan[Deployment]) -> None:
    (work,) = running.works
    told = {work.id: {"round": 3.0, "accuracy": 0.75}}
    status = planned(running.resource, fleet(FederationPhase.READY), told).resource.status
    assert (status.round, status.accuracy) == (3, 0.75)
    later = running.resource.model_copy(update={"status": status})
    status = planned(later, fleet(FederationPhase.READY)).resource.status
    assert (status.round, status.accuracy) == (3, 0.75)


@pytest.mark.parametrize(
    ("federation", "status", "reason", "words"),
    [
        (fleet(FederationPhase.READY), Truth.FALSE, "FederationReady", ""),
        (fleet(FederationPhase.DEGRADED, "1 of 2 nodes connected"), Truth.TRUE, "FederationNotReady", "1 of 2 nodes"),
        (fleet(FederationPhase.STARTING, "pod superlink-0 waits"), Truth.TRUE, "FederationNotReady", "superlink-0"),
        (None, Truth.FALSE, "Pending", ""),
    ],
)
def test_a_federation_that_is_not_whole_degrades_what_runs_on_it(
    running: Plan[Deployment], federation: Federation | None, status: Truth, reason: str, words: str
) -> None:
    found = condition(planned(running.resource, federation).resource.status.conditions, "Degraded")
    assert found and (found.status, found.reason) == (status, reason)
    assert words in found.message


def test_what_does_not_run_is_not_degraded(running: Plan[Deployment]) -> None:
    spec = running.resource.spec.model_copy(update={"abort": True})
    stopped = planned(running.resource.model_copy(update={"spec": spec}), fleet(FederationPhase.DEGRADED)).resource
    facts = {one.type: one.status for one in stopped.status.conditions}
    assert facts == {
        "Progressing": Truth.FALSE,
        "Degraded": Truth.FALSE,
        "Succeeded": Truth.FALSE,
        "Finished": Truth.TRUE,
    }
