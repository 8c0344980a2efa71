"""A plan made true in the cluster: documents first, then children, what it teaches, the status, then the words.

In this order a kill between any two leaves less than was planned, never a status ahead of what it speaks of. Whatever is
so already costs no call.
"""

import math
import time
from collections.abc import Callable, Iterable

from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.meta import Resource
from fedwright_crds.request import FLStrategyRequest
from fedwright_operator.cluster.api import Api, ApiError, Json
from fedwright_operator.cluster.artifacts import ClusterArtifacts
from fedwright_operator.cluster.cache import Cache
from fedwright_operator.cluster.lessons import Lessons
from fedwright_operator.cluster.ours import OURS, owner, type_of
from fedwright_operator.cluster.tell import tell
from fedwright_operator.reconcile.api import Event
from fedwright_operator.shell.kinds import AnyResource
from fedwright_operator.shell.planning import AnyPlan

INTENT = {Deployment.__name__: ("abort", "retryToken")}
"""Fields of children's specs that are a person's to write."""
SHOWN = {FLStrategyRequest.__name__: "spent", Candidate.__name__: "spent"}
"""A field of a status that changes with every work, and by which nothing is decided before another field changes too."""
SHOWN_SECONDS = 60.0
"""It may be so old."""


class Applier:
    """Writes plans. Raises ApiError with a conflict where what was planned on has changed: it is planned again."""

    def __init__(
        self, api: Api, cache: Cache, artifacts: ClusterArtifacts, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._api, self._cache, self._artifacts, self._lessons = api, cache, artifacts, Lessons(api)
        self._clock = clock
        self._written: dict[str, float] = {}

    def apply(self, observed: AnyResource, plan: AnyPlan, root: AnyResource, turn_ends: float = math.inf) -> bool:
        """Whether all of it is true now. Where the turn ends before, by the clock, what was done stays done: it goes on later."""
        namespace, reference = observed.metadata.namespace, owner(root)
        for digest, data in plan.artifacts.items():
            if not self._artifacts.is_owned(namespace, digest, reference):
                self._artifacts.write(namespace, data, reference)
                if self._clock() > turn_ends:
                    return False
        for child in plan.apply:
            if self._child(observed, _known(child)) and self._clock() > turn_ends:
                return False
        for gone in plan.delete:
            self._delete(_known(gone))
        if plan.teaches:
            self._teach(observed, plan.teaches)
        self._status(plan.resource)
        for event in plan.events:
            tell(self._api, observed, event)
        return True

    def forget(self, uids: Iterable[str]) -> None:
        for uid in uids:
            self._written.pop(uid, None)

    def status(self, body: Json, status: Json) -> None:
        """Write a status whole, unless the resource has changed since this body was read."""
        metadata = {key: body["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}
        wanted = {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": metadata, "status": status}
        self._cache.put(self._api.apply(OURS[body["kind"]], wanted, "status"))

    def _teach(self, ended: AnyResource, digest: str) -> None:
        """Before the status that says so, since what has ended is not planned again: a kill between the two adds the same
        once more, which changes nothing. That lessons cannot be kept undoes no answer."""
        namespace = ended.metadata.namespace
        try:
            self._lessons.add(namespace, self._artifacts.read(namespace, digest))
        except (KeyError, ValueError) as problem:
            self._untaught(ended, problem)
        except ApiError as problem:
            if not problem.refused:
                raise
            self._untaught(ended, problem)

    def _untaught(self, ended: AnyResource, problem: Exception) -> None:
        words = f"what {ended.metadata.name} has taught is not kept: {problem}"
        tell(self._api, ended, Event("LessonsNotKept", words, warning=True))

    def _status(self, planned: AnyResource) -> None:
        body = self._cache.body(planned.metadata.uid or "")
        if body is None:
            return  # it was deleted meanwhile
        wanted = planned.status.to_wire()
        if body.get("status") != wanted and not self._may_wait(body, wanted):
            self._written[body["metadata"]["uid"]] = self._clock()
            planned_on = {**body["metadata"], "resourceVersion": planned.metadata.resource_version}
            self.status({**body, "metadata": planned_on}, wanted)

    def _may_wait(self, body: Json, wanted: Json) -> bool:
        """Whether nothing has changed but what is only shown, and was written not long ago: each write is a new version that
        others are planned on."""
        shown = SHOWN.get(body["kind"])
        if not shown or self._clock() > self._written.get(body["metadata"]["uid"], -math.inf) + SHOWN_SECONDS:
            return False
        return _without(body.get("status") or {}, shown) == _without(wanted, shown)

    def _child(self, parent: AnyResource, child: AnyResource) -> bool:
        """Whether it had to be written."""
        meta = child.metadata
        present = self._cache.named(child.kind, meta.namespace, meta.name)
        owners = [one.uid for one in meta.owner_references]
        if present and owners != [one["uid"] for one in present["metadata"].get("ownerReferences", ())]:
            who = f"{child.kind} {meta.name}"
            words = f"{who} exists and belongs to another; delete it or rename this one"
            tell(self._api, parent, Event("NameTaken", words, warning=True))
            return True
        wanted = _manifest(child)
        if present is not None and _holds(present["spec"], wanted["spec"]):
            return False
        self._cache.put(self._api.apply(type_of(child), wanted))
        return True

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


def _without(status: Json, field: str) -> Json:
    return {key: value for key, value in status.items() if key != field}


def _holds(present: Json, wanted: Json) -> bool:
    """Whether applying what is wanted would change nothing."""
    return all(present.get(key) == value for key, value in wanted.items())


def _known(resource: Resource) -> AnyResource:
    assert isinstance(resource, AnyResource)
    return resource
