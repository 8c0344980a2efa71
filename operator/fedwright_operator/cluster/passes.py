"""One pass over one root: plan what has changed of it and its candidates, apply, and drive the works that this wants.

A pass is safe at any moment and in any number; it remembers plans only to save time. Two passes over one root never run at
once (see queues.py), so nothing here is locked.
"""

import time
from collections import ChainMap
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from fedwright_crds.base import Digest
from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.federation import Federation
from fedwright_crds.kinds import KINDS
from fedwright_crds.work import BoxKind
from fedwright_operator.cluster import results
from fedwright_operator.cluster.api import Api, ApiError, Json
from fedwright_operator.cluster.apply import Applier
from fedwright_operator.cluster.artifacts import ClusterArtifacts
from fedwright_operator.cluster.cache import Cache, root_of
from fedwright_operator.cluster.invalid import refusal
from fedwright_operator.cluster.ours import owner
from fedwright_operator.cluster.progress import Progress
from fedwright_operator.cluster.releases import Fleet, Releases
from fedwright_operator.cluster.results import Results
from fedwright_operator.cluster.stored import StoreError
from fedwright_operator.cluster.tell import tell
from fedwright_operator.cluster.works import Wanted, Works
from fedwright_operator.reconcile.api import Event, Release, ReleaseStatus
from fedwright_operator.shell.clock import now
from fedwright_operator.shell.kinds import AnyResource
from fedwright_operator.shell.observe import View
from fedwright_operator.shell.planning import Made, Planners, Plans
from fedwright_operator.shell.wanted import labelled, urgency

SLOTS_WITHOUT_A_REQUEST = 4
MOST_ROUNDS = 20
"""Plans that follow from each other within one pass; what is left goes on in the next."""
AT_ONCE = 0.0
SOON_SECONDS = 0.2
MISSING_SECONDS = 2.0
"""After something was not there: the watches tell of it before, unless they missed it."""
RESYNC_SECONDS = 10.0
TURN_SECONDS = 0.25
"""What is left of a pass after this goes on in its next, after the other roots that wait. Each does one step at the least."""

Images = Mapping[BoxKind, Digest]


@dataclass
class Group:
    """What is remembered of one root between passes."""

    plans: Plans
    uids: set[str] = field(default_factory=set)


class Passes:
    """Passes over all roots."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        artifacts: ClusterArtifacts,
        works: Works,
        releases: Releases,
        planners: Planners,
        images: Images,
    ) -> None:
        self._api, self._cache, self._artifacts = api, cache, artifacts
        self._applier, self._works, self._releases = Applier(api, cache, artifacts), works, releases
        self._planners, self._images = planners, images
        self._progress = Progress(api, cache)
        self._groups: dict[str, Group] = {}

    def run(self, uid: str) -> float | None:
        """One pass over the root of this uid; in how many seconds the next is due, None if it is no more."""
        body = self._cache.body(uid)
        if body is None or not _is_root(body) or body["metadata"].get("deletionTimestamp"):
            self._forget(uid)
            return None
        try:
            return self._pass(uid, body)
        except StoreError as problem:
            self._tell(body, Event("HeldUp", f"{problem.reason}: {problem}", warning=True))
            raise
        except ApiError as problem:
            if problem.conflict:  # what was planned on has changed
                return SOON_SECONDS
            if problem.missing:
                return MISSING_SECONDS
            if not (problem.leaving or problem.refused):
                raise
            if problem.refused:
                self._tell(body, Event("Refused", str(problem), warning=True))
            return RESYNC_SECONDS

    def _tell(self, body: Json, event: Event) -> None:
        root = self._cache.resource(body)
        if not isinstance(root, str):
            tell(self._api, root, event)

    def _pass(self, uid: str, body: Json) -> float:
        root = self._cache.resource(body)
        if isinstance(root, str):
            self._refuse(body, root)
            return RESYNC_SECONDS
        turn_ends = time.monotonic() + TURN_SECONDS
        settled = self._settle(uid, root, turn_ends)
        group = self._groups[uid]
        if uid not in group.uids:
            return SOON_SECONDS  # it went meanwhile
        if not all(one in group.plans for one in group.uids):
            return AT_ONCE  # not all that it wants is known yet
        look = self._works.drive(root, self._wanted(uid), turn_ends)
        if not settled:
            return AT_ONCE if time.monotonic() > turn_ends else SOON_SECONDS
        return max(0.0, min(look, group.plans.due - time.monotonic(), self._progress.due(uid)))

    def _settle(self, uid: str, root: AnyResource, turn_ends: float) -> bool:
        """Plan and apply until nothing changes; whether that came to an end."""
        for _ in range(MOST_ROUNDS):
            if not self._round(uid, root, turn_ends):
                return True
            if time.monotonic() > turn_ends:
                break
        return False

    def _round(self, uid: str, root: AnyResource, turn_ends: float) -> bool:
        """Whether anything had changed."""
        group = self._group(uid, root.metadata.namespace)
        view = self._view(root)
        live = [one for one in view.live() if view.root(one) == uid]
        group.uids = {one.metadata.uid or "" for one in live}
        group.plans.keep(group.uids)
        changed = False
        for one in sorted(live, key=urgency):
            if changed and time.monotonic() > turn_ends:
                break
            made = group.plans.make(view, one)
            if made is not None:
                done = False
                try:
                    done = self._make_true(root, one, made, turn_ends)
                finally:
                    if not done:
                        group.plans.keep(group.uids - {one.metadata.uid})  # what is not true yet is planned anew
                changed |= made.changed
        return changed

    def _make_true(self, root: AnyResource, one: AnyResource, made: Made, turn_ends: float) -> bool:
        if not self._applier.apply(one, made.plan, root, turn_ends):
            return False
        self._adopt(root, made.looked_up)
        if made.plan.release:
            self._releases.ensure(_fleet(root, made.plan.release))
        return True

    def _wanted(self, uid: str) -> Wanted:
        """All that the plans of a root want, most urgent first."""
        group = self._groups[uid]
        found = (self._cache.body(one) for one in group.uids)
        resources = [self._cache.resource(body) for body in found if body]
        known = [one for one in resources if not isinstance(one, str)]
        works = [
            labelled(work, one)
            for one in sorted(known, key=urgency)
            for work in group.plans[one.metadata.uid or ""].works
        ]
        orders = ChainMap(*(dict(group.plans[one.metadata.uid or ""].orders) for one in known))
        return Wanted(works, group.plans[uid].parallel or SLOTS_WITHOUT_A_REQUEST, orders)

    def _group(self, uid: str, namespace: str) -> Group:
        if uid not in self._groups:
            self._groups[uid] = Group(Plans(self._planners, Results(self._cache, namespace)))
        return self._groups[uid]

    def _view(self, root: AnyResource) -> View:
        """The root's own, and the fleets and rollouts beside it, which it may name."""
        namespace = root.metadata.namespace
        bodies = [
            *self._cache.group(root.metadata.uid or "", root.kind),
            *self._cache.group(root.metadata.uid or "", Candidate.__name__),
            *self._cache.all(Federation.__name__, namespace),
            *self._cache.all(Deployment.__name__, namespace),
        ]
        parsed = {body["metadata"]["uid"]: self._cache.resource(body) for body in bodies}
        return View(
            resources=tuple(one for one in parsed.values() if not isinstance(one, str)),
            now=now(),
            images=self._images,
            read=lambda digest: self._artifacts.read(namespace, digest),
            releases=self._seen(root),
            progress=self._progress.of(root.metadata.uid or ""),
            waiting=self._works.waiting(root),
        )

    def _seen(self, root: AnyResource) -> dict[str, ReleaseStatus]:
        """Of a federation, how its release stands."""
        if not isinstance(root, Federation):
            return {}
        fleet = _fleet(root, Release(root.metadata.name, root.spec))
        return {root.metadata.uid or "": self._releases.status(fleet)}

    def _adopt(self, root: AnyResource, looked_up: frozenset[str]) -> None:
        """What a plan is made from stays as long as its root, whoever else made it and goes before.

        A result is adopted after its outputs, so what a root owns is whole. What is gone already is left alone: works and
        plans say so where they need it.
        """
        namespace, reference = root.metadata.namespace, owner(root)
        if isinstance(root, Deployment):
            with suppress(KeyError):
                self._artifacts.adopt(namespace, root.spec.package, reference)
        for work_id in looked_up:
            with suppress(KeyError):
                if not results.is_owned(self._cache, namespace, work_id, reference):
                    for digest in Results(self._cache, namespace)[work_id].outputs.values():
                        self._artifacts.adopt(namespace, digest, reference)
                    results.adopt(self._api, self._cache, namespace, work_id, reference)

    def _refuse(self, body: Json, why: str) -> None:
        status = refusal(body, why)
        if body.get("status") != status:
            self._applier.status(body, status)

    def _forget(self, uid: str) -> None:
        group = self._groups.pop(uid, None)
        self._applier.forget(group.uids if group else ())
        self._artifacts.forget(uid)
        self._works.forget(uid)
        self._progress.forget(uid)


def _is_root(body: Json) -> bool:
    """Labels may say anything of whose something is; only what stands for itself has passes."""
    return body["kind"] in KINDS and root_of(body) == body["metadata"]["uid"]


def _fleet(federation: AnyResource, release: Release) -> Fleet:
    return Fleet(release, federation.metadata.namespace, owner(federation))
