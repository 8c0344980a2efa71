"""What the watches have brought: the newest body of each resource, parsed once for each version.

Writes put the API's answers in too, so a pass sees what the one before it wrote. It asks the API for nothing.
"""

import json
import math
from collections import OrderedDict, defaultdict
from collections.abc import Container, Iterator
from threading import RLock
from typing import TypeVar

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from fedwright_crds.kinds import KINDS
from fedwright_crds.meta import Metadata
from fedwright_operator.cluster.api import JOB, POD, Json
from fedwright_operator.cluster.labels import ROOT
from fedwright_operator.shell.kinds import AnyResource

K = TypeVar("K")
Uid = str
REMEMBERED = 10_000
"""Of what was deleted, so many are remembered: a late answer about one comes within seconds."""
_MADE = frozenset({JOB.kind, POD.kind})
_READ_OF_METADATA = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "labels",
        "ownerReferences",
        "creationTimestamp",
        "deletionTimestamp",
    }
)
_METADATA = frozenset(to_camel(name) for name in Metadata.model_fields)


class Cache:
    """All that is watched, by uid. Safe to use from many threads.

    Changes are made under a lock. To look needs none: each look is one step of a dict or a copy of a set, and what it finds is
    whole, if perhaps of a moment ago. Under the lock, threads that plan would wait for each other at every look.
    """

    def __init__(self) -> None:
        self._bodies: dict[Uid, Json] = {}
        self._names: dict[tuple[str, str, str], Uid] = {}
        self._groups: defaultdict[Uid, set[Uid]] = defaultdict(set)
        self._places: defaultdict[tuple[str, str], set[Uid]] = defaultdict(set)
        self._parsed: dict[Uid, tuple[str, AnyResource | str]] = {}
        self._gone: OrderedDict[Uid, float] = OrderedDict()
        self._lock = RLock()

    # -- filling ----------------------------------------------------------------------------------
    def put(self, body: Json) -> bool:
        """Whether it was news. An older version than the one at hand is none, nor is what was deleted."""
        uid = body["metadata"]["uid"]
        with self._lock:
            present = self._bodies.get(uid)
            known = max(self._gone.get(uid, 0), _version(present) if present else 0)
            if _version(body) <= known:
                return False
            self._bodies[uid] = slim(
                body
            )  # first, so that whoever looks finds the old one or the new one, and never none
            self._names[_name(body)] = uid
            self._groups[root_of(body)].add(uid)
            self._places[_place(body)].add(uid)
            if present and root_of(present) != root_of(body):
                _discard(self._groups, root_of(present), uid)
            return True

    def drop(self, body: Json, *, for_good: bool = True) -> bool:
        """It was deleted, or nothing more of it is wanted, so a late answer about it is ignored; whether it was there. If not for
        good, it may be watched again as a newer version: a label that is taken away looks like a deletion."""
        uid = body["metadata"]["uid"]
        with self._lock:
            self._gone[uid] = max(self._gone.pop(uid, 0), math.inf if for_good else _version(body))
            if len(self._gone) > REMEMBERED:
                self._gone.popitem(last=False)
            self._parsed.pop(uid, None)
            if present := self._bodies.pop(uid, None):
                self._unlist(present)
            return present is not None

    def is_dropped(self, uid: Uid) -> bool:
        """Whether it was dropped for good."""
        return self._gone.get(uid) == math.inf

    def sweep(self, known: Container[Uid], present: Container[Uid]) -> list[Json]:
        """Drop those of the known that are not present any more; what was dropped."""
        with self._lock:
            gone = [body for uid, body in self._bodies.items() if uid in known and uid not in present]
            for body in gone:
                self.drop(body, for_good=False)
        return gone

    def _unlist(self, body: Json) -> None:
        uid, name = body["metadata"]["uid"], _name(body)
        if self._names.get(name) == uid:
            del self._names[name]
        _discard(self._groups, root_of(body), uid)
        _discard(self._places, _place(body), uid)

    # -- looking ----------------------------------------------------------------------------------
    def named(self, kind: str, namespace: str, name: str) -> Json | None:
        uid = self._names.get((kind, namespace, name))
        return self._bodies.get(uid) if uid else None

    def body(self, uid: Uid) -> Json | None:
        return self._bodies.get(uid)

    def group(self, root: Uid, kind: str) -> list[Json]:
        """What belongs to a root: itself, its candidates, its jobs, pods and results. What lies in another namespace and says
        so is none of it."""
        found = self._all_of(self._groups.get(root))
        home = self._bodies.get(root)
        there = {home["metadata"]["namespace"]} if home else {one["metadata"]["namespace"] for one in found}
        mine = (one for one in found if one["kind"] == kind and one["metadata"]["namespace"] in there)
        return sorted(mine, key=_age)

    def all(self, kind: str, namespace: str) -> list[Json]:
        return sorted(self._all_of(self._places.get((kind, namespace))), key=_age)

    def uids(self, kind: str, namespace: str) -> set[Uid]:
        """Of all of a kind; '' is every namespace."""
        with self._lock:
            places = [uids for place, uids in self._places.items() if place == (kind, namespace or place[1])]
            return set().union(*places)

    def resource(self, body: Json) -> AnyResource | str:
        """The resource, or in words why it is none: a schema of another version let it through."""
        uid, version = body["metadata"]["uid"], body["metadata"]["resourceVersion"]
        known = self._parsed.get(uid)
        if known is None or known[0] != version:
            known = version, parse(body)
            with self._lock:
                if uid in self._bodies:
                    self._parsed[uid] = known
        return known[1]

    def _all_of(self, uids: set[Uid] | None) -> list[Json]:
        bodies = (self._bodies.get(uid) for uid in tuple(uids or ()))
        return [body for body in bodies if body]

    def __iter__(self) -> Iterator[Json]:
        return iter(tuple(self._bodies.values()))


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


def slim(body: Json) -> Json:
    """As much as is read of it: of what the cluster made from our own words, what those words became."""
    if body["kind"] not in _MADE:
        body["metadata"].pop("managedFields", None)  # larger than the rest, and read by nobody
        return body
    metadata = {key: value for key, value in body["metadata"].items() if key in _READ_OF_METADATA}
    return {key: value for key, value in body.items() if key in {"apiVersion", "kind", "status"}} | {
        "metadata": metadata
    }


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


def _place(body: Json) -> tuple[str, str]:
    return body["kind"], body["metadata"]["namespace"]


def _discard(sets: dict[K, set[Uid]], key: K, uid: Uid) -> None:
    sets[key].discard(uid)
    if not sets[key]:
        del sets[key]


def _age(body: Json) -> tuple[str, str]:
    return body["metadata"]["creationTimestamp"], body["metadata"]["name"]
