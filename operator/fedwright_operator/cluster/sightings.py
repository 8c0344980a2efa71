"""What a Job, its pod and their Events say about a work: it waits, it runs, or it has ended, and whose fault that was.

Pure, and from API objects alone: the rules below are asked in order and the first that knows answers. A quota or a full
cluster is waiting, never failure. What never started or was taken away is the platform's error; a step that broke its limits
or its word is the work's own failure, told by its launcher or by the kernel.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from fedwright_boxes.pod.contract import EXIT_CODES, DeliveryNote
from fedwright_crds.work import Outcome, Reason, Step, Verdict, Work, WorkResult
from fedwright_operator.cluster import pods
from fedwright_operator.cluster.endings import ending_of, printable, words
from fedwright_operator.cluster.names import DELIVER, container_names
from fedwright_operator.cluster.pods import Container, Event, Json, Pod

_IMAGE = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "ErrImageNeverPull",
    "InvalidImageName",
}
_IMAGE_FOR_GOOD = {"ErrImageNeverPull", "InvalidImageName"}
_START = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"}
_FURNISHING = {"FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox"}
_QUOTA = re.compile(r"exceeded quota|status unknown for quota")
_PASSES = re.compile(rf"{_QUOTA.pattern}|error looking up service account|failed calling webhook")
"""Refusals that end by themselves: a namespace that is new has no service account yet."""
_REFUSED = re.compile(r"violates PodSecurity|is forbidden|denied the request|is invalid")
_OWN_DISK = re.compile(r"(Pod|Container) .*exceed.*ephemeral|Usage of EmptyDir|exceeds the (total )?limit", re.ASCII)
_CONTAINER = re.compile(r"Container (\S+) exceeded")
_LOST = timedelta(seconds=60)
_CLOCKS = timedelta(seconds=2)
"""Times of the API are whole seconds."""


@dataclass(frozen=True)
class Waiting:
    """Nothing of the work has run, or no container of it runs now; `reason` is CamelCase."""

    reason: str
    message: str = ""
    over: bool = False
    """The Job's own time is over and nothing has run: delete it and make it anew, as the same attempt."""


@dataclass(frozen=True)
class Running:
    """This step runs, or comes next; or `deliver`."""

    step: str


@dataclass(frozen=True)
class Finished:
    """It has ended. Delete the Job once the result is kept: not every end ends the pod."""

    result: WorkResult
    """Without outputs."""
    delivered: str | None = None
    """If it succeeded: the last container's message. Its log holds the outputs, see `deliveries`."""


Sighting = Waiting | Running | Finished


def seen(
    work: Work,
    job: Json,
    bodies: Iterable[Json],
    events: Iterable[Json],
    now: datetime,
    patience_seconds: float,
) -> Sighting:
    """`bodies`: the Job's pods. `events`: of the namespace, or of these objects alone. Raises for no state of theirs."""
    body = pods.newest(bodies)
    about = tuple(events)
    scene = _Scene(work, job, now, timedelta(seconds=patience_seconds), pods.events_of(about, job))
    if body is None:
        return _without_pod(scene)
    pod = Pod.of(body, container_names(work))
    return _Look(scene, pod, pods.events_of(about, body)).sighting()


def undelivered(result: WorkResult, why: str) -> WorkResult:
    """A result whose outputs could not be read: the last container is trusted, so this is the platform's error."""
    verdict = Verdict(step=DELIVER, reason=Reason.PLATFORM)
    return result.model_copy(
        update={
            "outcome": Outcome.PLATFORM_ERROR,
            "message": f"step {DELIVER}: {printable(why)}",
            "verdicts": (*result.verdicts, verdict),
        }
    )


@dataclass(frozen=True)
class _Scene:
    work: Work
    job: Json
    now: datetime
    patience: timedelta
    job_events: tuple[Event, ...]

    @property
    def failed(self) -> Json | None:
        """The Job's condition that says so."""
        return pods.condition(self.job, "Failed") or pods.condition(self.job, "FailureTarget")

    @property
    def out_of_time(self) -> bool:
        return self.failed is not None and self.failed.get("reason") == "DeadlineExceeded"

    def result(
        self,
        outcome: Outcome,
        message: str,
        verdicts: Iterable[Verdict],
        began: datetime | None,
        ended: datetime | None,
    ) -> WorkResult:
        began = began or pods.time_of(self.job.get("status", {}).get("startTime")) or self.now
        return WorkResult(
            id=self.work.id,
            kind=self.work.kind,
            outcome=outcome,
            message=message,
            verdicts=tuple(verdicts),
            started_at=_stamp(began),
            finished_at=_stamp(max(began, ended or self.now)),
        )

    def nothing_ran(self, message: str) -> Finished:
        verdict = Verdict(step=self.work.steps[0].name, reason=Reason.PLATFORM)
        return Finished(self.result(Outcome.PLATFORM_ERROR, printable(message), [verdict], None, None))


# -- no pod ------------------------------------------------------------------------------------------------
def _without_pod(scene: _Scene) -> Sighting:
    refusal = next((one for one in reversed(scene.job_events) if one.reason == "FailedCreate"), None)
    if refusal and _REFUSED.search(refusal.message) and not _PASSES.search(refusal.message):
        return scene.nothing_ran(f"the cluster admits no such pod: {refusal.message}")
    if scene.out_of_time:
        return _waits_for_room(refusal, over=True)
    if scene.failed or pods.condition(scene.job, "Complete"):
        return scene.nothing_ran("the pod was deleted before it could be read")
    return _waits_for_room(refusal)


def _waits_for_room(refusal: Event | None, *, over: bool = False) -> Waiting:
    if refusal is None:
        return Waiting("Starting", over=over)
    reason = "QuotaExceeded" if _QUOTA.search(refusal.message) else "FailedCreate"
    return Waiting(reason, printable(refusal.message), over)


# -- a pod -------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Look:
    scene: _Scene
    pod: Pod
    events: tuple[Event, ...]

    def sighting(self) -> Sighting:
        """First match wins."""
        return (
            self._completed()
            or self._unscheduled()
            or self._taken_away()
            or self._evicted()
            or self._out_of_memory()
            or self._ended()
            or self._not_starting()
            or self._goes_on()
        )

    def _completed(self) -> Finished | None:
        if not self._deliver.completed:
            return None
        verdicts = self._verdicts_before(len(self.scene.work.steps))
        for place, verdict in enumerate(verdicts):
            if verdict.reason is not Reason.COMPLETED:
                lost = verdict.model_copy(update={"reason": Reason.PLATFORM})
                return self._platform(f"step {verdict.step}: how it ended is lost", [*verdicts[:place], lost])
        return Finished(self._result(Outcome.SUCCEEDED, "", verdicts), self._deliver.message)

    def _unscheduled(self) -> Waiting | None:
        why = self.pod.unscheduled
        if why is None:
            return None
        reason, message = str(why.get("reason") or "Unschedulable"), printable(str(why.get("message") or ""))
        return Waiting(reason, message, over=self.scene.out_of_time)

    def _taken_away(self) -> Finished | None:
        """By the node, the scheduler or a person; the work is to be tried again, whatever it was about to do."""
        disruption = pods.condition(self.pod.body, "DisruptionTarget")
        if disruption:
            why = f"{disruption.get('reason')}: {disruption.get('message')}"
            return self._platform(f"the pod was taken away: {why}")
        gone = self.pod.deleted is not None and self.scene.now > self.pod.deleted + _LOST
        if self.pod.reason == "NodeLost" or self.pod.phase == "Unknown" or gone:
            return self._platform("the pod is lost: its node does not answer")
        return None

    def _evicted(self) -> Finished | None:
        if self.pod.reason != "Evicted":
            return None
        why = f"the pod was evicted: {self.pod.message}"
        named = _CONTAINER.search(self.pod.message)
        place = self._names.index(named[1]) if named and named[1] in self._names else self._place
        if not _OWN_DISK.search(self.pod.message) or place >= len(self.scene.work.steps):
            return self._platform(why)
        return self._failed(place, Verdict(step=self._step(place).name, reason=Reason.OUTPUT_FLOOD), why)

    def _out_of_memory(self) -> Finished | None:
        """Not to be waited for: a container that ends with 0 after a child was killed leaves the pod pending for good."""
        place = self._place
        if not self.pod.containers[place].out_of_memory:
            return None
        return self._step_ended(place) if place < len(self.scene.work.steps) else self._not_delivered()

    def _ended(self) -> Finished | None:
        if self.pod.phase not in {"Failed", "Succeeded"} and not self.scene.failed:
            return None
        place = self._place
        culprit = self.pod.containers[place]
        if culprit.started is None:
            return self._never_started(culprit)
        if culprit.could_not_start:
            return self._platform(f"container {culprit.name} could not start: {culprit.message}")
        if place == len(self.scene.work.steps):
            return self._not_delivered()
        if self.pod.reason == "DeadlineExceeded" or culprit.ended is None:
            return self._stopped(place, culprit)
        return self._step_ended(place)

    def _not_starting(self) -> Waiting | Finished | None:
        """Something that may mend itself keeps a container from starting; after a time it is the platform's error."""
        culprit = self.pod.containers[self._place]
        if culprit.running or culprit.ended:
            return None
        reason, message = self._obstacle(culprit)
        if not reason:
            return None
        since = self.pod.last_step or self.scene.now
        if reason in _IMAGE_FOR_GOOD or self.scene.now > since + self.scene.patience:
            return self._platform(_obstructed(reason, culprit, message))
        return Waiting(reason, printable(message))

    def _goes_on(self) -> Sighting:
        if not any(one.running or one.ended for one in self.pod.containers):
            return Waiting("Starting")
        place = self._place
        return Running(self._step(place).name if place < len(self.scene.work.steps) else DELIVER)

    # -- ends ---------------------------------------------------------------------------------------
    def _step_ended(self, place: int) -> Finished:
        ending = ending_of(self._step(place), self.pod.containers[place])
        if ending.verdict.reason is Reason.COMPLETED:
            return self._platform(
                f"step {ending.verdict.step} has completed, and the pod has failed: {self.pod.message}"
            )
        return self._failed(place, ending.verdict, words(ending.verdict.step, ending))

    def _stopped(self, place: int, culprit: Container) -> Finished:
        """The pod's time was over. The launchers hold the steps' own, so it is the step's fault only if that was over too."""
        step = self._step(place)
        ending = ending_of(step, culprit) if culprit.ended else None
        if ending and ending.verdict.reason not in {Reason.COMPLETED, Reason.PLATFORM}:
            return self._step_ended(place)
        if culprit.seconds >= step.wall_seconds:
            verdict = Verdict(step=step.name, reason=Reason.DEADLINE_EXCEEDED, wall_seconds=culprit.seconds)
            return self._failed(place, verdict, f"step {step.name}: {Reason.DEADLINE_EXCEEDED}")
        return self._platform(f"step {step.name}: the pod's time was over, and the step's own was not")

    def _never_started(self, culprit: Container) -> Finished:
        reason, message = self._obstacle(culprit)
        if reason:
            return self._platform(_obstructed(reason, culprit, message))
        why = self.pod.message or self.pod.reason or "no reason is given"
        return self._platform(f"container {culprit.name} was never started: {why}")

    def _not_delivered(self) -> Finished:
        deliver = self._deliver
        if deliver.exit_code != EXIT_CODES[Reason.BAD_OUTPUT] or deliver.out_of_memory:
            why = "out of memory" if deliver.out_of_memory else f"it ended with {deliver.exit_code}: {deliver.message}"
            return self._platform(f"step {DELIVER}: {why}")
        steps = self.scene.work.steps
        place = max((place for place, step in enumerate(steps) if step.outputs), default=len(steps) - 1)
        verdict = self._verdicts_before(place + 1)[-1].model_copy(update={"reason": Reason.BAD_OUTPUT})
        return self._failed(place, verdict, f"step {verdict.step}: {_delivery_error(deliver.message)}")

    def _failed(self, place: int, verdict: Verdict, message: str) -> Finished:
        verdicts = [*self._verdicts_before(place), verdict]
        return Finished(self._result(self._step(place).outcome(verdict), printable(message), verdicts))

    def _platform(self, message: str, verdicts: list[Verdict] | None = None) -> Finished:
        """At the first container that has not completed, or after these verdicts."""
        if verdicts is None:
            name = self._step(self._place).name if self._place < len(self.scene.work.steps) else DELIVER
            verdicts = [*self._verdicts_before(self._place), Verdict(step=name, reason=Reason.PLATFORM)]
        return Finished(self._result(Outcome.PLATFORM_ERROR, printable(message), verdicts))

    def _result(self, outcome: Outcome, message: str, verdicts: list[Verdict]) -> WorkResult:
        began = min((one.started for one in self.pod.containers if one.started), default=self.pod.accepted)
        ended = max((one.finished for one in self.pod.containers if one.finished), default=None)
        return self.scene.result(outcome, message, verdicts, began, ended)

    # -- facts --------------------------------------------------------------------------------------
    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.pod.containers)

    @property
    def _deliver(self) -> Container:
        return self.pod.containers[-1]

    @property
    def _place(self) -> int:
        """Of the first container that has not completed: the one that all depends on now."""
        places = range(len(self.pod.containers))
        return next((place for place in places if not self.pod.containers[place].completed), len(places) - 1)

    def _step(self, place: int) -> Step:
        return self.scene.work.steps[place]

    def _verdicts_before(self, place: int) -> list[Verdict]:
        pairs = zip(self.scene.work.steps[:place], self.pod.containers, strict=False)
        return [ending_of(step, container).verdict for step, container in pairs]

    def _obstacle(self, culprit: Container) -> tuple[str, str]:
        """What keeps a container from starting, by its own state or by what was said since anything last happened."""
        waiting = culprit.waiting or {}
        reason = str(waiting.get("reason") or "")
        if reason in _IMAGE | _START:
            return reason, str(waiting.get("message") or "")
        since = (self.pod.last_step or self.pod.accepted or self.scene.now) - _CLOCKS
        for event in reversed([one for one in self.events if one.at >= since]):
            if event.reason in _FURNISHING:
                return event.reason, event.message
            if event.reason in {"Failed", "BackOff"} and "image" in event.message:
                return "ErrImagePull", event.message
        return "", ""


def _obstructed(reason: str, culprit: Container, message: str) -> str:
    if reason in _IMAGE:
        return f"the image of container {culprit.name} cannot be had: {reason}: {message}"
    return f"container {culprit.name} cannot start: {reason}: {message}"


def _delivery_error(message: str) -> str:
    try:
        note = DeliveryNote.model_validate_json(message) if message.isascii() else DeliveryNote()
    except ValidationError:
        note = DeliveryNote()
    return note.error or "an output is no plain file of its size"


def _stamp(time: datetime) -> str:
    """As local boxes write it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")
