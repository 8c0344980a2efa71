"""Plans, made anew only for what has changed: what a plan was made from is remembered, to save time alone."""

import time
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.federation import Federation
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.work import Work, WorkResult
from fedwright_operator.reconcile import candidate, deployment, federation, request
from fedwright_operator.reconcile.api import Observed, Plan
from fedwright_operator.shell.kinds import AnyResource
from fedwright_operator.shell.observe import View

AnyPlan = Plan[FLStrategyRequest] | Plan[Candidate] | Plan[Federation] | Plan[Deployment]

RESYNC_SECONDS = 10.0
"""How often all is planned anew, because time itself moves some decisions."""


@dataclass(frozen=True)
class Planners:
    """The pure function of each kind."""

    request: Callable[[Observed[FLStrategyRequest]], Plan[FLStrategyRequest]]
    candidate: Callable[[Observed[Candidate]], Plan[Candidate]]
    federation: Callable[[Observed[Federation]], Plan[Federation]]
    deployment: Callable[[Observed[Deployment]], Plan[Deployment]]

    def plan(self, view: View, resource: AnyResource, results: Mapping[str, WorkResult]) -> AnyPlan:
        match resource:
            case FLStrategyRequest():
                return self.request(view.request(resource, results))
            case Candidate():
                return self.candidate(view.candidate(resource, results))
            case Federation():
                return self.federation(view.federation(resource, results))
            case Deployment():
                return self.deployment(view.deployment(resource, results))


PLANNERS = Planners(request.plan, candidate.plan, federation.plan, deployment.plan)


@dataclass(frozen=True)
class Made:
    """A plan, and whether it was made because something changed, not only because it was due."""

    plan: AnyPlan
    changed: bool
    looked_up: frozenset[str]
    """Ids of finished work that it is made from."""


@dataclass(frozen=True)
class _Remembered:
    plan: AnyPlan
    basis: Hashable
    due: float


class Lookups(Mapping[str, WorkResult]):
    """Results as one root's plans see them; it notes which were found."""

    def __init__(self, results: Mapping[str, WorkResult]) -> None:
        self._results = results
        self.found: set[str] = set()

    def __getitem__(self, work_id: str) -> WorkResult:
        result = self._results[work_id]
        self.found.add(work_id)
        return result

    def __iter__(self) -> Iterator[str]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)


class Plans:
    """The last plan of every resource, by uid."""

    def __init__(self, planners: Planners, results: Mapping[str, WorkResult]) -> None:
        self._planners, self._results = planners, results
        self._last: dict[str, _Remembered] = {}

    def __getitem__(self, uid: str) -> AnyPlan:
        return self._last[uid].plan

    def __contains__(self, uid: str) -> bool:
        return uid in self._last

    def make(self, view: View, resource: AnyResource) -> Made | None:
        """A new plan, or None while the last one holds."""
        uid = resource.metadata.uid or ""
        last = self._last.get(uid)
        changed = last is None or last.basis != _basis(view, resource, last.plan.works, self._results)
        if last and not changed and time.monotonic() < last.due:
            return None
        lookups = Lookups(self._results)
        plan = self._planners.plan(view, resource, lookups)
        # What the plan saw counts, not what is so by now: work may have finished meanwhile.
        basis = _basis(view, resource, plan.works, lookups.found)
        due = time.monotonic() + min(plan.requeue_seconds or RESYNC_SECONDS, RESYNC_SECONDS)
        self._last[uid] = _Remembered(plan, basis, due)
        return Made(plan, changed, frozenset(lookups.found))

    def keep(self, uids: Container[str]) -> None:
        """Forget the plans of all others."""
        self._last = {uid: last for uid, last in self._last.items() if uid in uids}

    @property
    def due(self) -> float:
        """When the first of them must be made anew, on the monotonic clock."""
        return min((last.due for last in self._last.values()), default=time.monotonic() + RESYNC_SECONDS)


def _basis(view: View, resource: AnyResource, works: Sequence[Work], finished: Container[str]) -> Hashable:
    """Equal as long as a plan would be: versions of the resources that it sees, its work, its release."""
    return (
        frozenset((one.metadata.uid, one.metadata.resource_version) for one in _around(view, resource)),
        frozenset(work.id for work in works if work.id in finished),
        tuple(tuple(view.progress.get(work.id, {}).items()) for work in works),
        view.releases.get(resource.metadata.uid or ""),
        view.waiting if isinstance(resource, FLStrategyRequest) else (),
    )


def _around(view: View, resource: AnyResource) -> list[AnyResource]:
    root, namespace = view.root(resource), resource.metadata.namespace
    match resource:
        case Candidate():
            return [one for one in view.resources if one is resource or one.metadata.uid == root]
        case Federation():
            return [resource]
        case _:
            return [one for one in view.resources if one.metadata.namespace == namespace]
