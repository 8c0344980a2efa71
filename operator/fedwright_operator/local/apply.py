"""A plan made true in the store: documents first, then children, then the status, then the words about it.

In this order a kill between any two leaves less than was planned, never a status ahead of what it speaks of.
"""

from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.federation import Federation
from fedwright_crds.meta import Resource
from fedwright_crds.request import FLStrategyRequest
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.events import Events
from fedwright_operator.local.store import Store
from fedwright_operator.reconcile.api import Event
from fedwright_operator.shell.kinds import AnyResource
from fedwright_operator.shell.planning import AnyPlan


class Applier:
    """Writes plans into one home."""

    def __init__(self, store: Store, artifacts: Artifacts, events: Events) -> None:
        self._store, self._artifacts, self._events = store, artifacts, events

    def apply(self, observed: AnyResource, plan: AnyPlan) -> None:
        for data in (*plan.artifacts.values(), *plan.orders.values()):
            self._artifacts.write(data)
        for child in plan.apply:
            self._child(observed, _known(child))
        for gone in plan.delete:
            self._store.remove(_known(gone))
        self._store.write_status(plan.resource)
        for event in plan.events:
            self._events.tell(observed, event)

    def _child(self, owner: AnyResource, child: AnyResource) -> None:
        current = self._store.get(type(child), child.metadata.name, child.metadata.namespace)
        if current is None:
            self._store.create(child)
        elif current.metadata.owner_references != child.metadata.owner_references:
            who = f"{child.kind} {child.metadata.name}"
            self._events.tell(
                owner,
                Event("NameTaken", f"{who} exists and belongs to another; delete it or rename this one", True),
            )
        else:
            self._store.edit_spec(
                type(child),
                child.metadata.name,
                child.metadata.namespace,
                lambda present: _with_spec(present, child),
            )


def _with_spec(present: AnyResource, child: AnyResource) -> AnyResource:
    """The planned spec with what a person has written into the present one."""
    spec = child.spec
    if isinstance(present, Deployment) and isinstance(child, Deployment):
        intent = {"abort": present.spec.abort, "retry_token": present.spec.retry_token}
        spec = child.spec.model_copy(update=intent)
    return present.model_copy(update={"spec": spec})


def _known(resource: Resource) -> AnyResource:
    assert isinstance(resource, FLStrategyRequest | Candidate | Federation | Deployment)
    return resource
