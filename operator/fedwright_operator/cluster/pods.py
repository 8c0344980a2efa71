"""Reads Jobs, pods and Events as the API gives them. What it means for a work is not known here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Json = Mapping[str, Any]

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


def time_of(text: object) -> datetime | None:
    """A time as the API writes it."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) else None
    except ValueError:
        return None


def condition(body: Json, kind: str) -> Json | None:
    """The condition of that type if it is true."""
    for one in body.get("status", {}).get("conditions") or ():
        if one.get("type") == kind and one.get("status") == "True":
            return one  # type: ignore[no-any-return]
    return None


@dataclass(frozen=True)
class Container:
    """One container's state: it waits, runs or has ended; of one that the kubelet has not told of, nothing is set."""

    name: str
    waiting: Json | None = None
    running: Json | None = None
    ended: Json | None = None

    @classmethod
    def of(cls, name: str, status: Json) -> "Container":
        state = status.get("state") or {}
        return cls(name, state.get("waiting"), state.get("running"), state.get("terminated"))

    @property
    def exit_code(self) -> int | None:
        code = self.ended.get("exitCode") if self.ended else None
        return code if isinstance(code, int) else None

    @property
    def out_of_memory(self) -> bool:
        """Whatever its exit code: where only a child was killed, the container may end with 0."""
        return self._reason == "OOMKilled"

    @property
    def completed(self) -> bool:
        return self.exit_code == 0 and not self.out_of_memory

    @property
    def started(self) -> datetime | None:
        """When its process began; None if it never did."""
        return time_of((self.running or self.ended or {}).get("startedAt"))

    @property
    def finished(self) -> datetime | None:
        return time_of((self.ended or {}).get("finishedAt"))

    @property
    def seconds(self) -> float:
        """How long it ran, to the second."""
        if self.started is None or self.finished is None:
            return 0.0
        return max(0.0, (self.finished - self.started).total_seconds())

    @property
    def message(self) -> str:
        """What its process left in the termination log."""
        return str((self.ended or {}).get("message") or "")

    @property
    def _reason(self) -> str:
        return str((self.ended or {}).get("reason") or "")

    @property
    def could_not_start(self) -> bool:
        return self._reason in {"StartError", "ContainerCannotRun"} or self.exit_code == 128


@dataclass(frozen=True)
class Pod:
    """A pod, its containers in the order in which they run."""

    body: Json
    containers: tuple[Container, ...]

    @classmethod
    def of(cls, body: Json, names: Sequence[str]) -> "Pod":
        status = body.get("status", {})
        told = {
            one["name"]: one
            for field in ("initContainerStatuses", "containerStatuses")
            for one in status.get(field) or ()
        }
        return cls(body, tuple(Container.of(name, told.get(name, {})) for name in names))

    @property
    def phase(self) -> str:
        return str(self.body.get("status", {}).get("phase", ""))

    @property
    def reason(self) -> str:
        return str(self.body.get("status", {}).get("reason") or "")

    @property
    def message(self) -> str:
        return str(self.body.get("status", {}).get("message") or "")

    @property
    def accepted(self) -> datetime | None:
        """When the kubelet took it; its deadline counts from here."""
        return time_of(self.body.get("status", {}).get("startTime"))

    @property
    def deleted(self) -> datetime | None:
        """When it should be gone at the latest, if it was deleted."""
        return time_of(self.body["metadata"].get("deletionTimestamp"))

    @property
    def unscheduled(self) -> Json | None:
        """Why no node was found, if none was."""
        if self.phase != "Pending":
            return None
        for one in self.body.get("status", {}).get("conditions") or ():
            if one.get("type") == "PodScheduled" and one.get("status") == "False":
                return one  # type: ignore[no-any-return]
        return None

    @property
    def last_step(self) -> datetime | None:
        """When something last happened to a container, or to the pod if nothing has."""
        times = [time for one in self.containers for time in (one.started, one.finished) if time]
        return max(times, default=self.accepted)


def newest(bodies: Iterable[Json]) -> Json | None:
    """A Job has one pod; where there are more, what counts is what became of the last."""
    return max(
        bodies, key=lambda one: (one["metadata"].get("creationTimestamp") or "", one["metadata"]["name"]), default=None
    )


@dataclass(frozen=True)
class Event:
    """What some part of the cluster said of an object."""

    reason: str
    message: str
    at: datetime


def events_of(events: Iterable[Json], about: Json) -> tuple[Event, ...]:
    """About one object, the oldest first."""
    uid = about["metadata"]["uid"]
    found = [
        Event(str(one.get("reason", "")), str(one.get("message") or ""), _last_seen(one))
        for one in events
        if (one.get("involvedObject") or {}).get("uid") == uid
    ]
    return tuple(sorted(found, key=lambda one: one.at))


def _last_seen(event: Json) -> datetime:
    series = event.get("series") or {}
    times = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    )
    return next((time for time in map(time_of, times) if time), _FIRST)
