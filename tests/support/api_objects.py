"""Jobs, pods and Events as the API of a real cluster gives them, for a work that got so far."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fedwright_boxes.pod.contract import EXIT_CODES, Ending
from fedwright_crds.work import Reason, Verdict, Work
from fedwright_operator.cluster.names import container_names, object_name

Json = dict[str, Any]

START = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> str:
    """A time as the API writes it, so long after the pod's start."""
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- states of containers ------------------------------------------------------------------------------------
def ended(
    exit_code: int, message: str = "", *, reason: str = "", begin: float | None = 1, end: float = 3, **more: Any
) -> Json:
    reason = reason or ("Completed" if exit_code == 0 else "Error")
    times = {"startedAt": None if begin is None else at(begin), "finishedAt": None if begin is None else at(end)}
    state = {"exitCode": exit_code, "reason": reason, "containerID": "containerd://0", **times, **more}
    return {"terminated": {**state, "message": message} if message else state}


def running(begin: float = 1) -> Json:
    return {"running": {"startedAt": at(begin)}}


def waiting(reason: str = "PodInitializing", message: str = "") -> Json:
    return {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}


def lost(message: str = "The container could not be located when the pod was terminated") -> Json:
    """What becomes of a container whose pod was ended before it could start."""
    return ended(137, message, reason="ContainerStatusUnknown", begin=None)


def told(step: str, reason: Reason = Reason.COMPLETED, message: str = "", **fields: Any) -> str:
    """A launcher's last message."""
    ending = Ending(verdict=Verdict(step=step, reason=reason, wall_seconds=1.25, **fields), message=message)
    return ending.model_dump_json(by_alias=True, exclude_none=True)


def ending(step: str, reason: Reason, message: str = "", *, begin: float = 1, end: float = 3, **fields: Any) -> Json:
    """The state of a step's container, as its launcher ends it."""
    return ended(EXIT_CODES[reason], told(step, reason, message, **fields), begin=begin, end=end)


def completed(work: Work, count: int) -> list[Json]:
    """Of the first steps of a work."""
    counted = {"rounds": 3, "bytes_up": 10, "bytes_down": 20}
    return [
        ending(step.name, Reason.COMPLETED, begin=1 + place, end=2 + place, **(counted if step.fleet else {}))
        for place, step in enumerate(work.steps[:count])
    ]


# -- objects -------------------------------------------------------------------------------------------------
def condition(kind: str, status: str = "True", reason: str = "", message: str = "") -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at(0)}


def job(work: Work, *conditions: Json) -> Json:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": object_name(work.id),
            "namespace": "default",
            "uid": "job-uid",
            "creationTimestamp": at(-1),
        },
        "status": {"startTime": at(-1), **({"conditions": list(conditions)} if conditions else {})},
    }


FAILED = condition("Failed", reason="BackoffLimitExceeded", message="Job has reached the specified backoff limit")
LATE = condition("Failed", reason="DeadlineExceeded", message="Job was active longer than specified deadline")


def pod(
    work: Work,
    states: Sequence[Json],
    phase: str = "",
    *,
    conditions: Sequence[Json] = (),
    accepted: bool = True,
    **status: Any,
) -> Json:
    """With the states of its first containers; those after them wait for their turn."""
    names = container_names(work)
    whole = [*states, *(waiting() for _ in names[len(states) :])]
    statuses = [{"name": name, "image": "box", "state": state} for name, state in zip(names, whole, strict=True)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{object_name(work.id)}-abcde",
            "namespace": "default",
            "uid": "pod-uid",
            "creationTimestamp": at(0),
        },
        "status": {
            "phase": phase or ("Failed" if _broken(states) else "Pending"),
            "conditions": list(conditions),
            **({"startTime": at(0), "initContainerStatuses": statuses[:-1], "containerStatuses": statuses[-1:]} if accepted else {}),
            **status,
        },
    }  # fmt: skip


def _broken(states: Sequence[Json]) -> bool:
    return any(state.get("terminated", {}).get("exitCode") for state in states)


def event(about: Mapping[str, Any], reason: str, message: str, seconds: float = 1) -> Json:
    metadata = about["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.1", "namespace": "default", "creationTimestamp": at(seconds)},
        "involvedObject": {"kind": about["kind"], "name": metadata["name"], "uid": metadata["uid"]},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": at(seconds),
        "lastTimestamp": at(seconds),
    }
