"""Works as Jobs: starts what is wanted as far as slots go, stops what is not, and brings home what has ended.

A result is kept before its Job is deleted, so a kill between the two finds the result and deletes the Job. Jobs have the
WorkId in their name, so none is ever made twice at one time.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from fedwright_crds.work import Outcome, Reason, Verdict, Work, WorkResult
from fedwright_operator.cluster import deliveries, jobs, names, networks, results, sightings
from fedwright_operator.cluster.api import (
    CONFIG_MAP,
    EVENT,
    JOB,
    NETWORK_POLICY,
    POD,
    SECRET,
    Api,
    ApiError,
    Json,
    Type,
)
from fedwright_operator.cluster.artifacts import ClusterArtifacts
from fedwright_operator.cluster.cache import Cache
from fedwright_operator.cluster.federation_values import control_secret
from fedwright_operator.cluster.fit import Network, UnfitWorkError
from fedwright_operator.cluster.labels import WORK
from fedwright_operator.cluster.ours import owner
from fedwright_operator.cluster.pods import time_of
from fedwright_operator.cluster.settings import BoxSettings, ImageError
from fedwright_operator.cluster.sightings import Finished, Sighting, Waiting
from fedwright_operator.cluster.tell import tell
from fedwright_operator.reconcile.api import Event, Waits
from fedwright_operator.shell.clock import now, stamp
from fedwright_operator.shell.kinds import AnyResource

SOON_SECONDS = 0.0
LOOK_SECONDS = 10.0
"""Watches tell of every change; time alone ends some waits."""
QUIET_SECONDS = 5.0
"""A work that has not begun after this is asked about in the Events, which are not watched."""

log = logging.getLogger(__name__)

Told = Callable[[WorkResult, float], None]
Secrets = Callable[[Work, AnyResource], Mapping[str, bytes]]
"""What a mind behind a model is given. Raises LookupError where there is no gateway."""


class Works:
    """The works of all roots."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        artifacts: ClusterArtifacts,
        settings: BoxSettings,
        told: Told = lambda *_: None,
        secrets: Secrets = lambda *_: {},
    ) -> None:
        """`told` hears of each result and how many seconds its work took."""
        self._api, self._cache, self._artifacts, self._settings = api, cache, artifacts, settings
        self._told, self._secrets = told, secrets
        self._fenced: set[str] = set()
        self._waiting: dict[str, dict[str, Waits]] = {}

    def drive(self, root: AnyResource, wanted: Sequence[Work], slots: int) -> float:
        """Make it so; in how many seconds to look again."""
        ids = {work.id for work in wanted}
        self._waiting[root.metadata.uid or ""] = {}
        for job in self._cache.group(root.metadata.uid or "", JOB.kind):
            if job["metadata"]["labels"][WORK] not in ids:
                self._remove(job)
        open_ = [work for work in wanted if not self._has_result(root, work)]
        running = {work.id: found for work in open_ if (found := self._job(root, work))}
        ended = [work for work in open_ if work.id in running and self._look(root, work, running[work.id])]
        busy = len(running) - len(ended)
        waiting = [work for work in open_ if work.id not in running]
        failed = [work for work in waiting[: max(0, slots - busy)] if not self._start(root, work)]
        return SOON_SECONDS if ended or failed else LOOK_SECONDS

    def waiting(self, root: AnyResource) -> tuple[Waits, ...]:
        """Of its works, those that could not start when they were last looked at."""
        return tuple(self._waiting.get(root.metadata.uid or "", {}).values())

    def forget(self, root: str) -> None:
        self._waiting.pop(root, None)

    # -- starting ---------------------------------------------------------------------------------
    def _start(self, root: AnyResource, work: Work) -> bool:
        """False if it can not be started at all, which is its result."""
        try:
            made = self._manifests(root, work)
        except (UnfitWorkError, ImageError, KeyError, LookupError) as problem:
            self._keep(root, work, _unstarted(work, str(problem)))
            return False
        self._close_network(root.metadata.namespace)
        self._create(CONFIG_MAP, made.config_map)
        if made.secret:
            self._api.delete(SECRET, root.metadata.namespace, made.secret["metadata"]["name"])
            self._create(SECRET, made.secret)
        self._create(JOB, made.job)
        log.info("started", extra={"work": work.id, "kind": work.kind, "request": _called(root)})
        return True

    def _manifests(self, root: AnyResource, work: Work) -> jobs.Manifests:
        namespace, reference = root.metadata.namespace, owner(root)
        for one in work.inputs:
            self._artifacts.adopt(namespace, one.digest, reference)
        fleet = next((step.federation for step in work.steps if step.federation), "")
        given = jobs.Given(
            pieces={one.digest: self._artifacts.names(namespace, one.digest) for one in work.inputs},
            secret=self._secrets(work, root),
            federation_secret=control_secret(fleet) if fleet else "",
        )
        return jobs.manifests(work, jobs.Whose(namespace, root.metadata.uid or "", reference), given, self._settings)

    def _create(self, kind: Type, body: Json) -> None:
        try:
            created = self._api.create(kind, body)
        except ApiError as problem:
            if not problem.conflict:
                raise
            return
        if kind is JOB:
            self._cache.put(created)

    def _close_network(self, namespace: str) -> None:
        """Before the first pod of a namespace there is the policy that shuts it in."""
        if namespace in self._fenced:
            return
        for policy in networks.policies(namespace, self._settings.networks):
            self._api.apply(NETWORK_POLICY, policy)
        self._fenced.add(namespace)

    # -- what became of it ------------------------------------------------------------------------
    def _look(self, root: AnyResource, work: Work, job: Json) -> bool:
        """Whether it has ended and its result is kept."""
        bodies = self._pods(root, work)
        sighting = self._sight(work, job, bodies)
        if isinstance(sighting, Finished):
            self._keep(root, work, self._brought_home(root, work, sighting, bodies))
            self._remove(job)
            return True
        if isinstance(sighting, Waiting):
            if sighting.over:
                self._remove(job)
            elif sighting.message:
                words = f"{work.kind}: {sighting.message}"
                self._waiting[root.metadata.uid or ""][work.id] = Waits(sighting.reason, words)
                tell(self._api, root, Event("WorkWaiting", f"{sighting.reason}: {words}", warning=True))
        return False

    def _sight(self, work: Work, job: Json, bodies: Sequence[Json]) -> Sighting:
        time = now()
        sighting = sightings.seen(work, job, bodies, (), time, self._settings.patience_seconds)
        if isinstance(sighting, Waiting) and _age(job, time) > QUIET_SECONDS:
            events = [event for one in (job, *bodies) for event in self._events(one)]
            return sightings.seen(work, job, bodies, events, time, self._settings.patience_seconds)
        return sighting

    def _events(self, about: Json) -> list[Json]:
        metadata = about["metadata"]
        return self._api.list(EVENT, metadata["namespace"], fields=f"involvedObject.uid={metadata['uid']}")

    def _brought_home(self, root: AnyResource, work: Work, sighting: Finished, bodies: Sequence[Json]) -> WorkResult:
        """The result with its outputs as artifacts."""
        if sighting.delivered is None:
            return sighting.result
        namespace = root.metadata.namespace
        try:
            said = self._api.log(namespace, bodies[-1]["metadata"]["name"], names.DELIVER, deliveries.LOG_BYTES + 1)
            outputs = deliveries.read(said, sighting.delivered, work)
        except (deliveries.DeliveryError, ApiError) as problem:
            return sightings.undelivered(sighting.result, str(problem))
        kept = {name: self._artifacts.write(namespace, data, owner(root)) for name, data in outputs.items()}
        return sighting.result.model_copy(update={"outputs": kept})

    def _keep(self, root: AnyResource, work: Work, result: WorkResult) -> None:
        if results.keep(self._api, self._cache, root.metadata.namespace, result, owner(root)):
            self._told(result, _seconds(result))
            log.info(
                "finished",
                extra={
                    "work": work.id,
                    "kind": work.kind,
                    "request": _called(root),
                    "outcome": str(result.outcome),
                    "words": result.message[:300],
                },
            )

    def _remove(self, job: Json) -> None:
        """With its pods and what was told them. All are of one name."""
        metadata = job["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        if metadata["labels"][names.NETWORK] == Network.MODEL:
            self._api.delete(SECRET, namespace, name)
        self._api.delete(CONFIG_MAP, namespace, name)
        self._api.delete(JOB, namespace, name, metadata["uid"])
        self._cache.drop(job)

    # -- looking ----------------------------------------------------------------------------------
    def _has_result(self, root: AnyResource, work: Work) -> bool:
        return self._cache.named(CONFIG_MAP.kind, root.metadata.namespace, results.name_of(work.id)) is not None

    def _job(self, root: AnyResource, work: Work) -> Json | None:
        return self._cache.named(JOB.kind, root.metadata.namespace, names.object_name(work.id))

    def _pods(self, root: AnyResource, work: Work) -> list[Json]:
        """The oldest first."""
        pods = self._cache.group(root.metadata.uid or "", POD.kind)
        return [one for one in pods if one["metadata"]["labels"].get(WORK) == work.id]


def _unstarted(work: Work, why: str) -> WorkResult:
    """Nothing of it can run here."""
    time = stamp(now())
    return WorkResult(
        id=work.id,
        kind=work.kind,
        outcome=Outcome.PLATFORM_ERROR,
        message=why[:4000],
        verdicts=(Verdict(step=work.steps[0].name, reason=Reason.PLATFORM),),
        started_at=time,
        finished_at=time,
    )


def _age(job: Json, time: datetime) -> float:
    created = time_of(job["metadata"].get("creationTimestamp"))
    return (time - created).total_seconds() if created else 0.0


def _seconds(result: WorkResult) -> float:
    began, ended = time_of(result.started_at), time_of(result.finished_at)
    return (ended - began).total_seconds() if began and ended else 0.0


def _called(root: AnyResource) -> str:
    return f"{root.metadata.namespace}/{root.metadata.name}"
