"""What each plan is shown: the resource, those around it, finished work, the clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.federation import Federation
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.work import BoxKind, WorkResult
from fedwright_operator.reconcile.api import Observed, ReleaseStatus, Waits
from fedwright_operator.shell.kinds import AnyResource, R

Uid = str
AnyObserved = Observed[FLStrategyRequest] | Observed[Candidate] | Observed[Federation] | Observed[Deployment]


@dataclass(frozen=True)
class View:
    """All resources at one moment."""

    resources: tuple[AnyResource, ...]
    now: datetime
    images: Mapping[BoxKind, str]
    read: Callable[[str], bytes]
    releases: Mapping[Uid, ReleaseStatus] = field(default_factory=dict)
    progress: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    waiting: tuple[Waits, ...] = ()

    def live(self) -> tuple[AnyResource, ...]:
        """Those that are not on their way out, nor is their owner."""
        leaving = {one.metadata.uid for one in self.resources if one.metadata.deletion_timestamp}
        return tuple(one for one in self.resources if one.metadata.uid not in leaving and self.root(one) not in leaving)

    def root(self, resource: AnyResource) -> Uid:
        """The uid of its owner, if that is there, else its own."""
        uids = {one.metadata.uid for one in self.resources}
        owners = (one.uid for one in resource.metadata.owner_references if one.uid in uids)
        return next(owners, resource.metadata.uid or "")

    def owner(self, resource: AnyResource) -> FLStrategyRequest | None:
        root = self.root(resource)
        return next(
            (one for one in self._all(FLStrategyRequest) if one.metadata.uid == root and one is not resource),
            None,
        )

    def _all(self, model: type[R]) -> tuple[R, ...]:
        return tuple(one for one in self.resources if isinstance(one, model))

    def _named(self, model: type[R], name: str, namespace: str) -> R | None:
        return next(
            (one for one in self._all(model) if (one.metadata.name, one.metadata.namespace) == (name, namespace)),
            None,
        )

    # -- one for each kind ------------------------------------------------------------------------
    def request(self, resource: FLStrategyRequest, results: Mapping[str, WorkResult]) -> Observed[FLStrategyRequest]:
        """A request sees its candidates and, by the names it gives them, its deployment and federation."""
        meta = resource.metadata
        deployment = self._named(Deployment, meta.name, meta.namespace)
        fleet = resource.spec.deployment.federation or f"{meta.name}-fleet"
        return Observed(
            resource,
            self.now,
            self.images,
            results,
            self.read,
            candidates=tuple(one for one in self._all(Candidate) if self.root(one) == meta.uid),
            deployment=deployment,
            federation=self._named(Federation, fleet, meta.namespace),
            progress=self.progress,
            waiting=self.waiting,
        )

    def candidate(self, resource: Candidate, results: Mapping[str, WorkResult]) -> Observed[Candidate]:
        """A candidate sees its siblings too: constraints are measured against FedAvg."""
        root = self.root(resource)
        return Observed(
            resource,
            self.now,
            self.images,
            results,
            self.read,
            candidates=tuple(one for one in self._all(Candidate) if self.root(one) == root),
            request=self.owner(resource),
            progress=self.progress,
        )

    def federation(self, resource: Federation, results: Mapping[str, WorkResult]) -> Observed[Federation]:
        release = self.releases.get(resource.metadata.uid or "")
        return Observed(resource, self.now, self.images, results, self.read, release=release)

    def deployment(self, resource: Deployment, results: Mapping[str, WorkResult]) -> Observed[Deployment]:
        federation = self._named(Federation, resource.spec.federation, resource.metadata.namespace)
        return Observed(
            resource,
            self.now,
            self.images,
            results,
            self.read,
            federation=federation,
            progress=self.progress,
        )
