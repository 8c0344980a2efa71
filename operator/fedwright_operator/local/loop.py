"""The loop of one machine: observe all, plan what has changed, apply, sleep until something changes.

It remembers plans only to save time; begun anew at any moment it comes to the same. It never writes intent.
"""

import time
from collections.abc import Callable, Hashable, Mapping
from queue import Empty, SimpleQueue

from fedwright_crds.deployment import Deployment
from fedwright_crds.federation import Federation
from fedwright_crds.work import BoxKind
from fedwright_operator.local.apply import Applier
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.collect import collect_garbage, remove_stray_federations
from fedwright_operator.local.events import Events
from fedwright_operator.local.home import Home
from fedwright_operator.local.releases import Releases
from fedwright_operator.local.scheduler import Execute, Scheduler, Wanted
from fedwright_operator.local.store import Store
from fedwright_operator.local.works import Works
from fedwright_operator.reconcile.api import ReleaseStatus
from fedwright_operator.shell.clock import now
from fedwright_operator.shell.kinds import AnyResource
from fedwright_operator.shell.observe import View
from fedwright_operator.shell.planning import Planners, Plans
from fedwright_operator.shell.wanted import labelled, urgency

POLL_SECONDS = 0.2
"""How often files are looked at for the words of other processes."""
SLOTS_WITHOUT_A_REQUEST = 4


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
        self._home, self._images, self._releases = home, images, releases
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self.scheduler = Scheduler(execute, self.works, self.wake)
        self._applier = Applier(self.store, self.artifacts, self.events)
        self._plans = Plans(planners, self.works)
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
        self.scheduler.cancel()
        self._releases.stop()
        self.scheduler.stop(seconds)
        if self._removed:
            collect_garbage(self.store, self.artifacts, self.works)
        for federation in self.store.list(Federation):
            self._plan(self._view(), federation)

    # -- one pass ---------------------------------------------------------------------------------
    def step(self) -> bool:
        """One pass; whether anything had changed."""
        removed = self._remove_deleted()
        view = self._view()
        live = view.live()
        changed = [one for one in live if self._plan(view, one)]
        self._plans.keep({one.metadata.uid or "" for one in live})
        self._releases.want(self._needed_federations(live))
        if removed:
            remove_stray_federations(self._home, self.store)
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

    def _plan(self, view: View, resource: AnyResource) -> bool:
        """Plan and apply, if there is a reason to; whether something had changed."""
        made = self._plans.make(view, resource)
        if made is None:
            return False
        self._note(view.root(resource), made.looked_up | {work.id for work in made.plan.works})
        self._applier.apply(resource, made.plan)
        return made.changed

    def _note(self, root: str, ids: frozenset[str]) -> None:
        known = self._noted.setdefault(root, set(self.works.wanted(root)))
        if fresh := ids - known:
            self.works.want(root, sorted(fresh))
            known |= fresh

    # -- what the plans add up to -----------------------------------------------------------------
    def _wanted(self, view: View, live: tuple[AnyResource, ...]) -> list[Wanted]:
        wanted = []
        for one in sorted(live, key=urgency):
            root = view.root(one)
            slots = self._plans[root].parallel or SLOTS_WITHOUT_A_REQUEST
            wanted += [Wanted(labelled(work, one), root, slots) for work in self._plans[one.metadata.uid or ""].works]
        return wanted

    def _needed_federations(self, live: tuple[AnyResource, ...]) -> list[Federation]:
        """On one machine a fleet runs while something is to be deployed on it."""
        named = {
            (one.metadata.namespace, one.spec.federation)
            for one in live
            if isinstance(one, Deployment) and not one.status.phase.terminal
        }
        wanted = (one for one in live if isinstance(one, Federation) and self._plans[one.metadata.uid or ""].release)
        return [one for one in wanted if (one.metadata.namespace, one.metadata.name) in named]

    # -- deletion ---------------------------------------------------------------------------------
    def _remove_deleted(self) -> bool:
        """Remove what is on its way out once none of its work runs any more; whether there was any."""
        leaving = [one for one in self.store.all() if one.metadata.deletion_timestamp]
        busy = {running.root for running in self.scheduler.running()}
        gone = [one for one in leaving if one.metadata.uid not in busy]
        for one in gone:
            self.store.remove(one)
        self._removed = self._removed or bool(gone)
        return bool(gone)

    def _outside(self) -> tuple[Hashable, Mapping[str, ReleaseStatus]]:
        """What other processes may change."""
        return self.store.stamps(), self._releases.statuses()

    def _sleep(self, tick: Callable[[], None]) -> None:
        """Until a wake, a change of files, or a plan that is due."""
        seen = self._outside()
        while not self._stopping:
            due = self._plans.due
            try:
                self._wakes.get(timeout=max(0.0, min(POLL_SECONDS, due - time.monotonic())))
                return
            except Empty:
                tick()
                if time.monotonic() >= due or self._outside() != seen:
                    return
