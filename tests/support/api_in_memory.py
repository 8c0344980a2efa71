"""The Kubernetes API in memory, as far as the operator's core needs it: versions, conflicts, server-side apply, owner
references and their garbage collector, quotas of words, and watches that may miss what happens.

It stands where `Api` does. Jobs run in no pod here: `finish` makes the pod that a Job would have had.
"""

import base64
import copy
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fedwright_boxes.pod.contract import LINE_LETTERS, DeliveredOutput, DeliveryEnd, DeliveryHead, DeliveryNote
from fedwright_crds.base import digest_of
from fedwright_crds.work import Work
from fedwright_operator.cluster.api import CONFIG_MAP, JOB, POD, ApiError, AwayError, Json, Type
from fedwright_operator.cluster.names import DELIVER, container_names
from fedwright_operator.cluster.ours import OURS
from fedwright_operator.cluster.watches import SELECTORS
from fedwright_operator.shell.clock import now, stamp

Bodies = list[Json]
Key = tuple[str, str, str]
Watch = Callable[[str, Json], None]
WATCHED = (*OURS.values(), *SELECTORS)


class ApiInMemory:
    """One API server. Give it to the core as an `Any`."""

    def __init__(self) -> None:
        self.bodies: dict[Key, Json] = {}
        self.logs: dict[tuple[str, str, str], bytes] = {}
        self.watches: list[Watch] = []
        self.started: Counter[str] = Counter()
        """How often a Job of that name was made."""
        self.kept: Counter[str] = Counter()
        """How often a result of that name was made."""
        self.calls: list[tuple[str, str, str]] = []
        """Verb, kind and name of each write."""
        self.before: Callable[[str, str, str], None] = lambda *_: None
        """Asked before each write; what it raises is the answer, or the death of the caller."""
        self.after: Callable[[str, str, str], None] = lambda *_: None
        self.log_error: Exception | None = None
        self._versions, self._uids = itertools.count(1), itertools.count(1)

    def fence(self) -> None:
        """No one else writes here."""

    # -- reading ----------------------------------------------------------------------------------
    def get(self, kind: Type, namespace: str, name: str) -> Json:
        return copy.deepcopy(self._there(kind, namespace, name))

    def find(self, kind: Type, namespace: str, name: str) -> Json | None:
        found = self.bodies.get((kind.kind, namespace, name))
        return copy.deepcopy(found)

    def list(self, kind: Type, namespace: str, labels: str = "", fields: str = "") -> Bodies:
        return [copy.deepcopy(body) for body in self._all(kind, namespace)]

    def metadata(self, kind: Type, namespace: str, labels: str = "") -> Bodies:
        wanted = [one.partition("=") for one in labels.split(",") if one]
        found = [copy.deepcopy(body["metadata"]) for body in self._all(kind, namespace)]
        return [one for one in found if all(_selects(part, one.get("labels", {})) for part in wanted)]

    def uids(self, kind: Type, namespace: str, labels: str = "") -> set[str]:
        return {body["metadata"]["uid"] for body in self._all(kind, namespace) if not labels or is_watched(kind, body)}

    def log(self, namespace: str, pod: str, container: str, limit_bytes: int) -> bytes:
        if self.log_error:
            raise self.log_error
        return self.logs[namespace, pod, container][:limit_bytes]

    def last_line(self, namespace: str, pod: str, container: str, seconds: int) -> bytes:
        return b""

    def pages(self, kind: Type, namespace: str, labels: str = "") -> Iterable[tuple[str, Bodies]]:
        yield (
            str(next(self._versions)),
            [copy.deepcopy(one) for one in self._all(kind, namespace) if is_watched(kind, one)],
        )

    # -- writing ----------------------------------------------------------------------------------
    def create(self, kind: Type, body: Json) -> Json:
        return self._write(
            "create", kind, body["metadata"]["namespace"], body["metadata"]["name"], lambda: self._new(kind, body)
        )

    def apply(self, kind: Type, body: Json, sub: str = "") -> Json:
        metadata = body["metadata"]
        return self._write(
            f"apply {sub}".strip(),
            kind,
            metadata["namespace"],
            metadata["name"],
            lambda: self._applied(kind, body, sub),
        )

    def merge(self, kind: Type, namespace: str, name: str, patch: Json) -> Json:
        return self._write("merge", kind, namespace, name, lambda: self._merged(kind, namespace, name, patch))

    def replace(self, kind: Type, body: Json) -> Json:
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        return self._write("replace", kind, namespace, name, lambda: self._replaced(kind, body))

    def delete(self, kind: Type, namespace: str, name: str, uid: str | None = None) -> bool:
        def gone() -> bool:
            present = self.bodies.get((kind.kind, namespace, name))
            if present is None or uid not in {None, present["metadata"]["uid"]}:
                return False
            self.remove(present)
            return True

        return self._write("delete", kind, namespace, name, gone)

    def _write(self, verb: str, kind: Type, namespace: str, name: str, change: Callable[[], Any]) -> Any:
        self.before(verb, kind.kind, name)
        self.calls.append((verb, kind.kind, name))
        done = change()
        self.after(verb, kind.kind, name)
        return done

    def _new(self, kind: Type, body: Json) -> Json:
        metadata = body["metadata"]
        if (kind.kind, metadata["namespace"], metadata["name"]) in self.bodies:
            raise ApiError(409, "AlreadyExists", f"{kind.plural} {metadata['name']} already exists")
        if kind is JOB:
            self.started[metadata["name"]] += 1
        if kind is CONFIG_MAP and metadata["name"].startswith("r-"):
            self.kept[metadata["name"]] += 1
        made = {"uid": f"uid-{next(self._uids)}", "creationTimestamp": stamp(now()), "generation": 1}
        return self._put({**body, "metadata": {**metadata, **made}}, "ADDED")

    def _applied(self, kind: Type, body: Json, sub: str) -> Json:
        metadata = body["metadata"]
        present = self.bodies.get((kind.kind, metadata["namespace"], metadata["name"]))
        if present is None:
            if sub or "uid" in metadata:
                raise ApiError(404, "NotFound", f"{kind.plural} {metadata['name']} not found")
            return self._new(kind, body)
        for field in ("uid", "resourceVersion"):
            if field in metadata and metadata[field] != present["metadata"][field]:
                raise ApiError(409, "Conflict", f"{field} is another")
        changed = (
            {**present, "status": body["status"]} if sub else {**present, "spec": {**present["spec"], **body["spec"]}}
        )
        return copy.deepcopy(present) if changed == present else self._put(changed, "MODIFIED")

    def _replaced(self, kind: Type, body: Json) -> Json:
        metadata = body["metadata"]
        present = self._there(kind, metadata["namespace"], metadata["name"])
        if metadata["resourceVersion"] != present["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "resourceVersion is another")
        return self._put(body, "MODIFIED")

    def _merged(self, kind: Type, namespace: str, name: str, patch: Json) -> Json:
        present = self._there(kind, namespace, name)
        metadata = present["metadata"]
        owners = {
            one["uid"]: one
            for one in (*metadata.get("ownerReferences", ()), *patch["metadata"].get("ownerReferences", ()))
        }
        labels = {**metadata.get("labels", {}), **patch["metadata"].get("labels", {})}
        return self._put(
            {**present, "metadata": {**metadata, "ownerReferences": list(owners.values()), "labels": labels}},
            "MODIFIED",
        )

    # -- what others do ---------------------------------------------------------------------------
    def edit(self, kind: Type, namespace: str, name: str, change: Callable[[Json], Json]) -> Json:
        """A person's or a controller's change of the whole body."""
        return self._put(change(copy.deepcopy(self._there(kind, namespace, name))), "MODIFIED")

    def remove(self, body: Json) -> None:
        """It goes, and with it all that nobody owns any more, as the garbage collector sees to."""
        metadata = body["metadata"]
        del self.bodies[body["kind"], metadata["namespace"], metadata["name"]]
        version = {"resourceVersion": str(next(self._versions))}
        self._tell("DELETED", {**body, "metadata": {**metadata, **version}})
        living = {one["metadata"]["uid"] for one in self.bodies.values()}
        for one in list(self.bodies.values()):
            owners = one["metadata"].get("ownerReferences")
            if owners and not any(owner["uid"] in living for owner in owners) and one in self.bodies.values():
                self.remove(one)

    def finish(self, work: Work, outputs: Mapping[str, bytes], namespace: str = "default") -> None:
        """The Job of this work has ended well, with these outputs."""
        job = self._there(JOB, namespace, f"w-{work.id}")
        self._new(POD, pod_of(job, work, outputs))
        self.logs[namespace, pod_name(work), DELIVER] = delivery(outputs)
        self.edit(JOB, namespace, f"w-{work.id}", _completed)

    # -- watching ---------------------------------------------------------------------------------
    def _put(self, body: Json, event: str) -> Json:
        metadata = {**body["metadata"], "resourceVersion": str(next(self._versions))}
        whole = copy.deepcopy({**body, "metadata": metadata})
        self.bodies[whole["kind"], metadata["namespace"], metadata["name"]] = whole
        self._tell(event, whole)
        return copy.deepcopy(whole)

    def _tell(self, event: str, body: Json) -> None:
        for watch in list(self.watches):
            watch(event, copy.deepcopy(body))

    def _there(self, kind: Type, namespace: str, name: str) -> Json:
        found = self.bodies.get((kind.kind, namespace, name))
        if found is None:
            raise ApiError(404, "NotFound", f"{kind.plural} {name} not found")
        return found

    def _all(self, kind: Type, namespace: str) -> Bodies:
        return [
            body
            for body in self.bodies.values()
            if body["kind"] == kind.kind and namespace in {"", body["metadata"]["namespace"]}
        ]


def _selects(wanted: tuple[str, str, str], labels: Json) -> bool:
    """By `key=value`, or `key` alone: that it is there."""
    key, sign, value = wanted
    return key in labels and (not sign or labels[key] == value)


def is_watched(kind: Type, body: Json) -> bool:
    """Whether the operator's selectors let it through."""
    labels = body["metadata"].get("labels", {})
    ours = labels.get("app.kubernetes.io/managed-by") == "fedwright"
    return kind.kind in OURS or (ours and (kind is not CONFIG_MAP or labels.get("fedwright.dev/role") == "result"))


def pod_name(work: Work) -> str:
    return f"w-{work.id}-abcde"


def pod_of(job: Json, work: Work, outputs: Mapping[str, bytes]) -> Json:
    """All of whose containers have completed."""
    note = DeliveryNote(
        outputs={name: DeliveredOutput(digest=digest_of(data), bytes=len(data)) for name, data in outputs.items()}
    )
    verdicts = [f'{{"verdict": {{"step": "{step.name}", "reason": "Completed"}}}}' for step in work.steps]
    states = [_ended(message) for message in [*verdicts, json.dumps(note.to_wire())]]
    statuses = [{"name": name, "state": state} for name, state in zip(container_names(work), states, strict=True)]
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": job["metadata"]["name"],
        "uid": job["metadata"]["uid"],
        "controller": True,
    }
    template = job["spec"]["template"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(work),
            "namespace": job["metadata"]["namespace"],
            "labels": template["metadata"]["labels"],
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
        "status": {
            "phase": "Succeeded",
            "startTime": stamp(now()),
            "initContainerStatuses": statuses[:-1],
            "containerStatuses": statuses[-1:],
        },
    }


def delivery(outputs: Mapping[str, bytes]) -> bytes:
    """As the last container prints it."""
    lines: list[str] = []
    for name, data in outputs.items():
        lines += [json.dumps(DeliveryHead(name=name, digest=digest_of(data), bytes=len(data)).to_wire())]
        letters = base64.b64encode(data).decode()
        lines += [*(letters[i : i + LINE_LETTERS] for i in range(0, len(letters), LINE_LETTERS)), ""]
    lines.append(json.dumps(DeliveryEnd(end=len(outputs)).to_wire()))
    return "".join(line + "\n" for line in lines).encode()


def _ended(message: str) -> Json:
    time = stamp(now())
    return {
        "terminated": {"exitCode": 0, "reason": "Completed", "startedAt": time, "finishedAt": time, "message": message}
    }


def _completed(job: Json) -> Json:
    conditions = [{"type": "Complete", "status": "True"}]
    return {**job, "status": {"startTime": stamp(now()), "conditions": conditions}}


def away() -> AwayError:
    return AwayError("the API server does not answer")
