"""What the watches have brought: the newest body of each resource, parsed once for each version.

Writes put the API's answers in too, so a pass sees what the one before it wrote. It asks the API for nothing.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from threading import RLock

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from fedwright_crds.kinds import KINDS
from fedwright_crds.meta import Metadata
from fedwright_operator.cluster.api import Json
from fedwright_operator.cluster.labels import ROOT
from fedwright_operator.shell.kinds import AnyResource

Uid = str
_METADATA = frozenset(to_camel(name) for name in Metadata.model_fields)


class Cache:
    """All that is watched, by uid. Safe to use from many threads."""

    def __init__(self) -> None:
        self._bodies: dict[Uid, Json] = {}
        self._names: dict[tuple[str, str, str], Uid] = {}
        self._groups: defaultdict[Uid, set[Uid]] = defaultdict(set)
        self._parsed: dict[Uid, tuple[str, AnyResource | str]] = {}
        self._gone: set[Uid] = set()
        self._lock = RLock()

    # -- filling ----------------------------------------------------------------------------------
    def put(self, body: Json) -> bool:
        """Whether it was news. An older version than the one at hand is none, nor is what was deleted."""
        uid = body["metadata"]["uid"]
        with self._lock:
            present = self._bodies.get(uid)
            if uid in self._gone or (present is not None and _version(body) <= _version(present)):
                return False
            body["metadata"].pop("managedFields", None)  # larger than the rest, and read by nobody
            self._bodies[uid] = body
            self._names[_name(body)] = uid
            self._groups[root_of(body)].add(uid)
            return True

    def drop(self, body: Json) -> None:
        """It was deleted. Uids never come back, so a late answer about it is ignored."""
        uid = body["metadata"]["uid"]
        with self._lock:
            self._gone.add(uid)
            self._bodies.pop(uid, None)
            self._parsed.pop(uid, None)
            if self._names.get(_name(body)) == uid:
                del self._names[_name(body)]
            group = root_of(body)
            self._groups[group].discard(uid)
            if not self._groups[group]:
                del self._groups[group]

    # -- looking ----------------------------------------------------------------------------------
    def named(self, kind: str, namespace: str, name: str) -> Json | None:
        with self._lock:
            uid = self._names.get((kind, namespace, name))
            return self._bodies.get(uid) if uid else None

    def body(self, uid: Uid) -> Json | None:
        with self._lock:
            return self._bodies.get(uid)

    def group(self, root: Uid, kind: str) -> list[Json]:
        """What belongs to a root: itself, its candidates, its jobs, pods and results."""
        with self._lock:
            found = [self._bodies[uid] for uid in self._groups.get(root, ())]
        return sorted((one for one in found if one["kind"] == kind), key=_age)

    def roots(self) -> list[Uid]:
        """Of our kinds, whatever stands for itself."""
        with self._lock:
            return [uid for uid, body in self._bodies.items() if body["kind"] in KINDS and root_of(body) == uid]

    def all(self, kind: str, namespace: str) -> list[Json]:
        with self._lock:
            found = [
                one
                for one in self._bodies.values()
                if one["kind"] == kind and one["metadata"]["namespace"] == namespace
            ]
        return sorted(found, key=_age)

    def resource(self, body: Json) -> AnyResource | str:
        """The resource, or in words why it is none: a schema of another version let it through."""
        uid, version = body["metadata"]["uid"], body["metadata"]["resourceVersion"]
        with self._lock:
            known = self._parsed.get(uid)
            if known is None or known[0] != version:
                known = self._parsed[uid] = version, parse(body)
            return known[1]

    def __iter__(self) -> Iterator[Json]:
        with self._lock:
            return iter(list(self._bodies.values()))


def parse(body: Json) -> AnyResource | str:
    """A body of the API as a resource; what else the API keeps in metadata is left out."""
    kept = {key: value for key, value in body["metadata"].items() if key in _METADATA}
    kept["ownerReferences"] = [
        {"controller": False, "blockOwnerDeletion": False, **owner} for owner in kept.get("ownerReferences", ())
    ]
    try:
        return KINDS[body["kind"]].model_validate_json(json.dumps({**body, "metadata": kept}))
    except ValidationError as problem:
        first = problem.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def root_of(body: Json) -> Uid:
    """Whose group it belongs to: what its label says of works, the request that owns a candidate, else its own."""
    metadata = body["metadata"]
    if body["kind"] not in KINDS:
        return str(metadata.get("labels", {}).get(ROOT, metadata["uid"]))
    owners = (one["uid"] for one in metadata.get("ownerReferences", ()) if one["kind"] in KINDS)
    return str(next(owners, metadata["uid"]))


def _version(body: Json) -> int:
    """Of one resource, versions may be compared as numbers (KEP-5504)."""
    return int(body["metadata"]["resourceVersion"])


def _name(body: Json) -> tuple[str, str, str]:
    return body["kind"], body["metadata"]["namespace"], body["metadata"]["name"]


def _age(body: Json) -> tuple[str, str]:
    return body["metadata"]["creationTimestamp"], body["metadata"]["name"]
