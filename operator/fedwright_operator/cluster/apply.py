"""A plan made true in the cluster: documents first, then children, then the status, then the words about it.

In this order a kill between any two leaves less than was planned, never a status ahead of what it speaks of. Whatever is
so already costs no call.
"""

from fedwright_crds.deployment import Deployment
from fedwright_crds.meta import Resource
from fedwright_operator.cluster.api import Api, Json
from fedwright_operator.cluster.artifacts import ClusterArtifacts
from fedwright_operator.cluster.cache import Cache
from fedwright_operator.cluster.ours import OURS, owner, type_of
from fedwright_operator.cluster.tell import tell
from fedwright_operator.reconcile.api import Event
from fedwright_operator.shell.kinds import AnyResource
from fedwright_operator.shell.planning import AnyPlan

INTENT = {Deployment.__name__: ("abort", "retryToken")}
"""Fields of children's specs that are a person's to write."""


class Applier:
    """Writes plans. Raises ApiError with a conflict where what was planned on has changed: it is planned again."""

    def __init__(self, api: Api, cache: Cache, artifacts: ClusterArtifacts) -> None:
        self._api, self._cache, self._artifacts = api, cache, artifacts

    def apply(self, observed: AnyResource, plan: AnyPlan, root: AnyResource) -> None:
        for data in plan.artifacts.values():
            self._artifacts.write(observed.metadata.namespace, data, owner(root))
        for child in plan.apply:
            self._child(observed, _known(child))
        for gone in plan.delete:
            self._delete(_known(gone))
        self._status(plan.resource)
        for event in plan.events:
            tell(self._api, observed, event)

    def status(self, body: Json, status: Json) -> None:
        """Write a status whole, unless the resource has changed since this body was read."""
        metadata = {key: body["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}
        wanted = {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": metadata, "status": status}
        self._cache.put(self._api.apply(OURS[body["kind"]], wanted, "status"))

    def _status(self, planned: AnyResource) -> None:
        body = self._cache.body(planned.metadata.uid or "")
        if body is None:
            return  # it was deleted meanwhile
        wanted = planned.status.to_wire()
        if body.get("status") != wanted:
            planned_on = {**body["metadata"], "resourceVersion": planned.metadata.resource_version}
            self.status({**body, "metadata": planned_on}, wanted)

    def _child(self, parent: AnyResource, child: AnyResource) -> None:
        meta = child.metadata
        present = self._cache.named(child.kind, meta.namespace, meta.name)
        owners = [one.uid for one in meta.owner_references]
        if present and owners != [one["uid"] for one in present["metadata"].get("ownerReferences", ())]:
            who = f"{child.kind} {meta.name}"
            words = f"{who} exists and belongs to another; delete it or rename this one"
            tell(self._api, parent, Event("NameTaken", words, warning=True))
            return
        wanted = _manifest(child)
        if present is None or not _holds(present["spec"], wanted["spec"]):
            self._cache.put(self._api.apply(type_of(child), wanted))

    def _delete(self, resource: AnyResource) -> None:
        meta = resource.metadata
        self._api.delete(type_of(resource), meta.namespace, meta.name, meta.uid)


def _manifest(child: AnyResource) -> Json:
    meta = child.metadata
    spec = child.spec.to_wire()
    for field in INTENT.get(child.kind, ()):
        spec.pop(field, None)
    return {
        "apiVersion": child.api_version,
        "kind": child.kind,
        "metadata": {
            "name": meta.name,
            "namespace": meta.namespace,
            "labels": meta.labels,
            "annotations": meta.annotations,
            "ownerReferences": [one.to_wire() for one in meta.owner_references],
        },
        "spec": spec,
    }


def _holds(present: Json, wanted: Json) -> bool:
    """Whether applying what is wanted would change nothing."""
    return all(present.get(key) == value for key, value in wanted.items())


def _known(resource: Resource) -> AnyResource:
    assert isinstance(resource, AnyResource)
    return resource
