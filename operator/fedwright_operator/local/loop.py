"""The loop of one machine: observe all, plan what has changed, apply, sleep until something changes.

It remembers plans only to save time; begun anew at any moment it comes to the same. It never writes intent.
"""

import time
from collections.abc import Callable, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from fedwright_crds.candidate import Candidate, Origin
from fedwright_crds.deployment import Deployment
from fedwright_crds.federation import Federation
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.work import BoxKind, Work
from fedwright_operator.local.apply import AnyPlan, Applier
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.collect import collect_garbage
from fedwright_operator.local.events import Events
from fedwright_operator.local.home import Home, now
from fedwright_operator.local.kinds import AnyResource
from fedwright_operator.local.observe import View
from fedwright_operator.local.releases import Releases
from fedwright_operator.local.scheduler import Execute, Scheduler, Wanted
from fedwright_operator.local.store import Store
from fedwright_operator.local.works import Lookups, Works
from fedwright_operator.reconcile.api import Observed, Plan, ReleaseStatus

POLL_SECONDS = 0.2
"""How often files are looked at for the words of another process."""
RESYNC_SECONDS = 10.0
"""How often all is planned anew, because time itself moves some decisions."""
SLOTS_WITHOUT_A_REQUEST = 4


@dataclass(frozen=True)
class Planners:
    """The pure function of each kind."""

    request: Callable[[Observed[FLStrategyRequest]], Plan[FLStrategyRequest]]
    candidate: Callable[[Observed[Candidate]], Plan[Candidate]]
    federation: Callable[[Observed[Federation]], Plan[Federation]]
    deployment: Callable[[Observed[Deployment]], Plan[Deployment]]


@dataclass(frozen=True)
class Planned:
    """A plan, what it was made from, and when to make it again at the latest."""

    basis: Hashable
    plan: AnyPlan
    due: float


class Loop:
    """Drives all resources of a home. Whoever makes one holds the home's lock."""

    def __init__(
        self,
        home: Home,
        planners: Planners,
        execute: Execute,
        images: Mapping[BoxKind, str],
        releases: Releases,
    ) -> None:
        self.store, self.works = Store(home.resources), Works(home.works)
        self.artifacts, self.events = Artifacts(home.artifacts), Events(home.events)
        self._planners, self._images, self._releases = planners, images, releases
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self.scheduler = Scheduler(execute, self.works, self.wake)
        self._applier = Applier(self.store, self.artifacts, self.events)
        self._planned: dict[str, Planned] = {}
        self._noted: dict[str, set[str]] = {}
        self._stopping = False
        self._removed = False

    # -- from outside -----------------------------------------------------------------------------
    def wake(self) -> None:
        """Look again now. Safe from any thread and from a signal handler."""
        self._wakes.put(None)

    def stop(self) -> None:
        """End `run` soon. Safe from any thread and from a signal handler."""
        self._stopping = True
        self.wake()

    def run(self, until: Callable[[], bool], tick: Callable[[], None] = lambda: None) -> bool:
        """Drive until `until()` holds and all is planned; False if stopped before. `tick` is called often."""
        while not self._stopping:
            changed = self.step()
            tick()
            if not changed and until():
                return True
            if not changed:
                self._sleep(tick)
        return False

    def close(self, seconds: float = 10.0) -> None:
        """End all children. What was in flight is started again by the next loop."""
        self.scheduler.stop(seconds)
        self._releases.stop()
        if self._removed:
            collect_garbage(self.store, self.artifacts, self.works)
        for federation in self.store.list(Federation):
            self._plan_one(self._view(), federation)

    # -- one pass ---------------------------------------------------------------------------------
    def step(self) -> bool:
        """One pass; whether it planned anything."""
        self._remove_deleted()
        view = self._view()
        live = view.live()
        changed = [one for one in live if self._plan_one(view, one)]
        for gone in self._planned.keys() - {one.metadata.uid for one in live}:
            del self._planned[gone]
        self._releases.want(self._needed_federations(live))
        self.scheduler.want(self._wanted(view, live))
        return bool(changed)

    def _view(self) -> View:
        progress = {one.work.id: one.progress for one in self.scheduler.running()}
        return View(
            self.store.all(),
            now(),
            self._images,
            self.artifacts.read,
            self._releases.statuses(),
            progress,
        )

    def _plan_one(self, view: View, resource: AnyResource) -> bool:
        """Plan and apply, if anything that the last plan was made from has changed; whether it did."""
        uid, root = resource.metadata.uid or "", view.root(resource)
        before = self._planned.get(uid)
        changed = before is None or before.basis != self._basis(view, resource, before.plan.works, self.works)
        if before and not changed and time.monotonic() < before.due:
            return False
        lookups = Lookups(self.works)
        plan = self._plan(view, resource, lookups)
        self._note(root, lookups.found | {work.id for work in plan.works})
        self._applier.apply(resource, plan)
        # What the plan saw counts, not what is so by now: work may have finished meanwhile.
        basis = self._basis(view, resource, plan.works, lookups.found)
        due = time.monotonic() + min(plan.requeue_seconds or RESYNC_SECONDS, RESYNC_SECONDS)
        self._planned[uid] = Planned(basis, plan, due)
        return changed

    def _plan(self, view: View, resource: AnyResource, results: Lookups) -> AnyPlan:
        match resource:
            case FLStrategyRequest():
                return self._planners.request(view.request(resource, results))
            case Candidate():
                return self._planners.candidate(view.candidate(resource, results))
            case Federation():
                return self._planners.federation(view.federation(resource, results))
            case Deployment():
                return self._planners.deployment(view.deployment(resource, results))

    def _basis(self, view: View, resource: AnyResource, works: Sequence[Work], finished: Container[str]) -> Hashable:
        """Equal as long as a plan would be: versions of the resources that it sees, its work, its release."""
        return (
            frozenset((one.metadata.uid, one.metadata.resource_version) for one in self._around(view, resource)),
            frozenset(work.id for work in works if work.id in finished),
            tuple(tuple(view.progress.get(work.id, {}).items()) for work in works),
            view.releases.get(resource.metadata.uid or ""),
        )

    def _around(self, view: View, resource: AnyResource) -> list[AnyResource]:
        root = view.root(resource)
        match resource:
            case Candidate():
                return [one for one in view.resources if one is resource or _matters_to_candidates(one, root, view)]
            case Federation():
                return [resource]
            case _:
                return [one for one in view.resources if one.metadata.namespace == resource.metadata.namespace]

    def _note(self, root: str, ids: set[str]) -> None:
        known = self._noted.setdefault(root, set(self.works.wanted(root)))
        if fresh := ids - known:
            self.works.want(root, sorted(fresh))
            known |= fresh

    # -- what the plans add up to -----------------------------------------------------------------
    def _wanted(self, view: View, live: tuple[AnyResource, ...]) -> list[Wanted]:
        slots = {uid: planned.plan.parallel for uid, planned in self._planned.items()}
        wanted = []
        for one in sorted(live, key=_urgency):
            root = view.root(one)
            planned = self._planned.get(one.metadata.uid or "")
            for work in planned.plan.works if planned else ():
                wanted.append(Wanted(_labelled(work, one), root, slots.get(root) or SLOTS_WITHOUT_A_REQUEST))
        return wanted

    def _needed_federations(self, live: tuple[AnyResource, ...]) -> list[Federation]:
        """On one machine a fleet runs while something is to be deployed on it."""
        named = {
            (one.metadata.namespace, one.spec.federation)
            for one in live
            if isinstance(one, Deployment) and not one.status.phase.terminal
        }
        wanted = (
            one for one in live if isinstance(one, Federation) and self._planned[one.metadata.uid or ""].plan.release
        )
        return [one for one in wanted if (one.metadata.namespace, one.metadata.name) in named]

    # -- deletion ---------------------------------------------------------------------------------
    def _remove_deleted(self) -> None:
        """Remove what is on its way out once none of its work runs any more."""
        view = self._view()
        leaving = [one for one in view.resources if one.metadata.deletion_timestamp]
        busy = {running.root for running in self.scheduler.running()}
        for one in leaving:
            if (one.metadata.uid or "") not in busy:
                self.store.remove(one)
                self._removed = True

    def _outside(self) -> tuple[Hashable, Mapping[str, ReleaseStatus]]:
        """What other processes may change."""
        return self.store.stamps(), self._releases.statuses()

    def _sleep(self, tick: Callable[[], None]) -> None:
        """Until a wake, a change of files, or a plan that is due."""
        seen = self._outside()
        while not self._stopping:
            due = min((planned.due for planned in self._planned.values()), default=time.monotonic() + RESYNC_SECONDS)
            try:
                self._wakes.get(timeout=max(0.0, min(POLL_SECONDS, due - time.monotonic())))
                return
            except Empty:
                tick()
                if time.monotonic() >= due or self._outside() != seen:
                    return


def _matters_to_candidates(one: AnyResource, root: str, view: View) -> bool:
    """Their request, and its baselines, against which constraints are measured."""
    baseline = isinstance(one, Candidate) and one.spec.origin is Origin.BASELINE
    return one.metadata.uid == root or (baseline and view.root(one) == root)


def _labelled(work: Work, whose: AnyResource) -> Work:
    """With whose it is written on it, for people and for the folders of a platform box."""
    labels = {"kind": whose.kind, "namespace": whose.metadata.namespace, "name": whose.metadata.name}
    return work.model_copy(update={"labels": {**work.labels, **labels}})


def _urgency(resource: AnyResource) -> tuple[int, int, str, str]:
    """Whose work comes first: requests, deployments, candidates by generation, baselines before others."""
    meta = resource.metadata
    match resource:
        case Candidate():
            spec = resource.spec
            return (
                2,
                2 * spec.generation + (spec.origin is not Origin.BASELINE),
                meta.creation_timestamp or "",
                meta.name,
            )
        case FLStrategyRequest():
            return 0, 0, meta.creation_timestamp or "", meta.name
        case _:
            return 1, 0, meta.creation_timestamp or "", meta.name
