"""Works as Jobs: starts what is wanted as far as slots go, stops what is not, and brings home what has ended.

Jobs have the WorkId in their name, so none is ever made twice at one time. A finished one stays for people to look at, for as
long as its own time to live says or its root is there; once its result is kept nothing here looks at it again. Two roots may
want the same work: what is done about one work is done by one pass at a time, after another look at what is so.
"""

import logging
import math
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from threading import Lock

from fedwright_crds.base import Digest
from fedwright_crds.work import Outcome, Reason, Verdict, Work, WorkResult
from fedwright_operator.cluster import config_maps, deliveries, jobs, names, networks, results, sightings
from fedwright_operator.cluster.api import (
    CONFIG_MAP,
    EVENT,
    JOB,
    NETWORK_POLICY,
    POD,
    SECRET,
    Api,
    ApiError,
    AwayError,
    Json,
)
from fedwright_operator.cluster.artifacts import ClusterArtifacts
from fedwright_operator.cluster.cache import Cache, root_of
from fedwright_operator.cluster.federation_values import control_secret
from fedwright_operator.cluster.fit import Network, UnfitWorkError
from fedwright_operator.cluster.labels import WORK
from fedwright_operator.cluster.ours import owner
from fedwright_operator.cluster.pods import time_of
from fedwright_operator.cluster.settings import BoxSettings, ImageError
from fedwright_operator.cluster.sightings import Finished, Sighting, Waiting
from fedwright_operator.cluster.stored import StoreError
from fedwright_operator.cluster.tell import tell
from fedwright_operator.reconcile.api import Event, Waits
from fedwright_operator.shell.clock import now, stamp
from fedwright_operator.shell.kinds import AnyResource

SOON_SECONDS = 0.0
LOOK_SECONDS = 10.0
"""Watches tell of every change; time alone ends some waits."""
QUIET_SECONDS = 15.0
"""A work that has not begun after this is asked about in the Events, which are not watched, and so long again after each time."""
_LOCKS = 64
_WORK_ID = re.compile(r"[0-9a-f]{40}", re.ASCII)

log = logging.getLogger(__name__)

Told = Callable[[WorkResult, float], None]
Secrets = Callable[[Work, AnyResource], Mapping[str, bytes]]
"""What a mind behind a model is given. Raises LookupError where there is no gateway."""


@dataclass(frozen=True)
class Wanted:
    """What the plans of a root want of works."""

    works: Sequence[Work]
    """Most urgent first."""
    slots: int
    """How many may run at one time."""
    orders: Mapping[Digest, bytes] = field(default_factory=dict)
    """Inputs that nothing but their work reads."""


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
        self._told_of: defaultdict[str, dict[str, tuple[datetime, list[Json]]]] = defaultdict(dict)
        self._locks = tuple(Lock() for _ in range(_LOCKS))

    def drive(self, root: AnyResource, wanted: Wanted, turn_ends: float = math.inf) -> float:
        """Make it so, as far as the turn goes, by the monotonic clock; in how many seconds to look again."""
        uid, ids = root.metadata.uid or "", {work.id for work in wanted.works}
        before, self._waiting[uid] = self._waiting.get(uid, {}), {}
        for job in self._cache.group(uid, JOB.kind):
            work_id = _work_of(job)
            if work_id and self._is_kept(root, work_id):
                self._leave(job)
            elif work_id and work_id not in ids:
                with self._alone(work_id):
                    self._remove(job)
        open_ = [work for work in wanted.works if not self._is_kept(root, work.id)]
        running = {work.id: found for work in open_ if (found := self._job(root, work))}
        steps = _in_turn((work for work in open_ if work.id in running), turn_ends)
        ended = [work.id for work in steps if self._look(root, work, running[work.id])]
        room = max(0, wanted.slots - (len(running) - len(ended)))
        steps = _in_turn((work for work in open_ if work.id not in running), turn_ends)
        failed = [work.id for work in islice(steps, room) if not self._start(root, work, wanted.orders)]
        if time.monotonic() > turn_ends:
            self._waiting[uid] = before | self._waiting[uid]  # not all have been looked at
            return SOON_SECONDS
        return SOON_SECONDS if ended or failed else LOOK_SECONDS

    def waiting(self, root: AnyResource) -> tuple[Waits, ...]:
        """Of its works, those that could not start when they were last looked at."""
        return tuple(self._waiting.get(root.metadata.uid or "", {}).values())

    def forget(self, root: str) -> None:
        self._waiting.pop(root, None)
        self._told_of.pop(root, None)
        self._fenced.discard(root)

    def _alone(self, work_id: str) -> Lock:
        return self._locks[int(work_id[:8], 16) % _LOCKS]

    def _waits(self, root: AnyResource, work: Work, reason: str, message: str) -> None:
        waits = Waits(reason, f"{work.kind}: {message}")
        self._waiting[root.metadata.uid or ""][work.id] = waits
        tell(self._api, root, Event("WorkWaiting", f"{reason}: {waits.message}", warning=True))

    # -- starting ---------------------------------------------------------------------------------
    def _start(self, root: AnyResource, work: Work, orders: Mapping[Digest, bytes]) -> bool:
        """False if it can not be started at all, which is its result."""
        with self._alone(work.id):
            if self._is_kept(root, work.id) or self._job(root, work):
                return True  # another root was faster
            try:
                self._create_all(root, self._manifests(root, work, orders))
            except (UnfitWorkError, ImageError, LookupError) as problem:
                self._keep(root, work, _unstarted(work, str(problem)))
                return False
            except StoreError as problem:
                self._waits(root, work, problem.reason, f"an input cannot be staged: {problem}")
                return True
            except ApiError as problem:
                if problem.forbidden:
                    reason = "QuotaExceeded" if "exceeded quota" in problem.message else "Forbidden"
                    self._waits(root, work, reason, problem.message)
                    return True
                if not problem.refused:
                    raise
                self._keep(root, work, _unstarted(work, f"the cluster takes no such Job: {problem}"))
                return False
        log.info("started", extra={"work": work.id, "kind": work.kind, "request": _called(root)})
        return True

    def _create_all(self, root: AnyResource, made: jobs.Manifests) -> None:
        self._close_network(root)
        # One from before may be on its way out with its owner, so it is owned.
        config_maps.create(self._api, made.config_map, "ownerReferences")
        if made.secret:
            self._api.delete(SECRET, root.metadata.namespace, made.secret["metadata"]["name"])
            self._api.create(SECRET, made.secret)
        try:
            self._cache.put(self._api.create(JOB, made.job))
        except ApiError as problem:
            if not problem.conflict:
                raise
            self._make_way(root, made.job)

    def _make_way(self, root: AnyResource, job: Json) -> None:
        """There is one of this name. The watch tells of it, unless it was left because its result was kept: then somebody has
        deleted the result, and the work is done anew."""
        found = self._api.find(JOB, root.metadata.namespace, job["metadata"]["name"])
        if found and self._cache.is_dropped(found["metadata"]["uid"]):
            self._api.delete(JOB, root.metadata.namespace, found["metadata"]["name"], found["metadata"]["uid"])

    def _manifests(self, root: AnyResource, work: Work, orders: Mapping[Digest, bytes]) -> jobs.Manifests:
        namespace, reference = root.metadata.namespace, owner(root)
        fleet = next((step.federation for step in work.steps if step.federation), "")
        mine = {one.digest: orders[one.digest] for one in work.inputs if one.digest in orders}
        told = {digest: data for digest, data in mine.items() if len(data) <= jobs.LARGEST_TOLD}
        for digest, data in mine.items():
            if digest not in told:
                self._artifacts.write(namespace, data, reference)
        mounted = [one.digest for one in work.inputs if one.digest not in told]
        given = jobs.Given(
            told=told,
            pieces={digest: self._artifacts.mounted(namespace, digest, reference) for digest in mounted},
            secret=self._secrets(work, root),
            federation_secret=control_secret(fleet) if fleet else "",
        )
        return jobs.manifests(work, jobs.Whose(namespace, root.metadata.uid or "", reference), given, self._settings)

    def _close_network(self, root: AnyResource) -> None:
        """Before a root's first pod its namespace has the policy that shuts it in: a namespace may be made anew."""
        uid, namespace = root.metadata.uid or "", root.metadata.namespace
        if uid in self._fenced:
            return
        for policy in networks.policies(namespace, self._settings.networks):
            self._api.apply(NETWORK_POLICY, policy)
        self._fenced.add(uid)

    # -- what became of it ------------------------------------------------------------------------
    def _look(self, root: AnyResource, work: Work, job: Json) -> bool:
        """Whether it has ended and its result is kept."""
        with self._alone(work.id):
            if self._is_kept(root, work.id):
                return True  # another root was faster
            bodies = self._pods(job)
            sighting = self._sight(work, job, bodies)
            if isinstance(sighting, Finished):
                result = self._brought_home(root, work, sighting, bodies)
                if result is None:
                    return False
                self._keep(root, work, result)
                self._leave(job)
                return True
            if isinstance(sighting, Waiting):
                if sighting.over:
                    self._remove(job)
                elif sighting.message:
                    self._waits(root, work, sighting.reason, sighting.message)
            return False

    def _sight(self, work: Work, job: Json, bodies: Sequence[Json]) -> Sighting:
        instant = now()
        sighting = sightings.seen(work, job, bodies, (), instant, self._settings.patience_seconds)
        if isinstance(sighting, Waiting) and _age(job, instant) > QUIET_SECONDS:
            events = self._events(job, bodies, instant)
            return sightings.seen(work, job, bodies, events, instant, self._settings.patience_seconds)
        return sighting

    def _events(self, job: Json, pods: Sequence[Json], instant: datetime) -> list[Json]:
        """Of a Job and its pods, as they were not long ago."""
        metadata, told_of = job["metadata"], self._told_of[root_of(job)]
        at, known = told_of.get(metadata["uid"], (datetime.min.replace(tzinfo=UTC), []))
        if (instant - at).total_seconds() > QUIET_SECONDS:
            about = [one["metadata"]["uid"] for one in (job, *pods)]
            asked = (self._api.list(EVENT, metadata["namespace"], fields=f"involvedObject.uid={uid}") for uid in about)
            known = [event for found in asked for event in found]
            told_of[metadata["uid"]] = instant, known
        return known

    def _brought_home(
        self, root: AnyResource, work: Work, sighting: Finished, bodies: Sequence[Json]
    ) -> WorkResult | None:
        """The result with its outputs as artifacts; None while the pod's node does not give its log, or the store takes none."""
        if sighting.delivered is None:
            return sighting.result
        namespace = root.metadata.namespace
        try:
            outputs = deliveries.told(sighting.delivered, work)
            if outputs is None:
                self._artifacts.check(deliveries.largest(sighting.delivered, work))
                said = self._api.log(namespace, bodies[-1]["metadata"]["name"], names.DELIVER, deliveries.LOG_BYTES + 1)
                outputs = deliveries.read(said, sighting.delivered, work)
        except (deliveries.DeliveryError, ApiError) as problem:
            return sightings.undelivered(sighting.result, str(problem))
        except StoreError as problem:
            self._unkept(root, work, problem)
            return None
        except AwayError as problem:
            if not problem.status:
                raise
            ended = time_of(sighting.result.finished_at)
            if ended and (now() - ended).total_seconds() > self._settings.patience_seconds:
                return sightings.undelivered(sighting.result, str(problem))
            self._waits(root, work, "NodeAway", f"the log of a pod that has ended cannot be read: {problem}")
            return None
        try:
            kept = {
                name: self._artifacts.write(namespace, data, owner(root), output=True) for name, data in outputs.items()
            }
        except StoreError as problem:
            self._unkept(root, work, problem)
            return None
        return sighting.result.model_copy(update={"outputs": kept})

    def _unkept(self, root: AnyResource, work: Work, problem: StoreError) -> None:
        """The Job stays, and its log with it."""
        self._waits(root, work, problem.reason, f"an output cannot be kept: {problem}")

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
        """With its pods. What they were told stays as long as its owners: another Job may be made of it."""
        metadata = job["metadata"]
        self._revoke(job)
        self._api.delete(JOB, metadata["namespace"], metadata["name"], metadata["uid"])
        self._cache.drop(job)
        self._told_of[root_of(job)].pop(metadata["uid"], None)

    def _leave(self, job: Json) -> None:
        """It has done its part. What it and its pods are like from now on is news to nobody."""
        self._revoke(job)
        for one in (*self._pods(job), job):
            self._cache.drop(one)
        self._told_of[root_of(job)].pop(job["metadata"]["uid"], None)

    def _revoke(self, job: Json) -> None:
        """A mind that has ended needs no model any more. Its Secret has its name."""
        metadata = job["metadata"]
        if metadata["labels"].get(names.NETWORK) == Network.MODEL:
            self._api.delete(SECRET, metadata["namespace"], metadata["name"])

    # -- looking ----------------------------------------------------------------------------------
    def _is_kept(self, root: AnyResource, work_id: str) -> bool:
        return self._cache.named(CONFIG_MAP.kind, root.metadata.namespace, results.name_of(work_id)) is not None

    def _job(self, root: AnyResource, work: Work) -> Json | None:
        return self._cache.named(JOB.kind, root.metadata.namespace, names.object_name(work.id))

    def _pods(self, job: Json) -> list[Json]:
        """A Job's own, the oldest first, whichever root it was started for. Labels can be had by any pod."""
        return [one for one in self._cache.group(root_of(job), POD.kind) if _belongs(one, job)]


def _in_turn(works: Iterable[Work], turn_ends: float) -> Iterator[Work]:
    """One at the least, the others while the turn lasts."""
    for place, work in enumerate(works):
        if place and time.monotonic() > turn_ends:
            return
        yield work


def _work_of(job: Json) -> str:
    """The WorkId whose Job it is by label and name, '' if it is none's: then it is not ours to delete."""
    metadata = job["metadata"]
    work_id = str(metadata["labels"].get(WORK, ""))
    return work_id if _WORK_ID.fullmatch(work_id) and metadata["name"] == names.object_name(work_id) else ""


def _belongs(pod: Json, job: Json) -> bool:
    same = pod["metadata"]["namespace"] == job["metadata"]["namespace"]
    return same and any(one["uid"] == job["metadata"]["uid"] for one in pod["metadata"].get("ownerReferences", ()))


def _unstarted(work: Work, why: str) -> WorkResult:
    """Nothing of it can run here."""
    instant = stamp(now())
    return WorkResult(
        id=work.id,
        kind=work.kind,
        outcome=Outcome.PLATFORM_ERROR,
        message=why[:4000],
        verdicts=(Verdict(step=work.steps[0].name, reason=Reason.PLATFORM),),
        started_at=instant,
        finished_at=instant,
    )


def _age(job: Json, instant: datetime) -> float:
    created = time_of(job["metadata"].get("creationTimestamp"))
    return (instant - created).total_seconds() if created else 0.0


def _seconds(result: WorkResult) -> float:
    began, ended = time_of(result.started_at), time_of(result.finished_at)
    return (ended - began).total_seconds() if began and ended else 0.0


def _called(root: AnyResource) -> str:
    return f"{root.metadata.namespace}/{root.metadata.name}"
