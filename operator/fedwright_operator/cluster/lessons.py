"""What the requests of a namespace have taught, in a ConfigMap beside them: each namespace has its own, and reads no other's.

It belongs to no request, so it stays when they go. Whoever deletes it empties it; what has ended before adds nothing again.
"""

from fedwright_crds.lessons import lines_of, with_more
from fedwright_operator.cluster.api import CONFIG_MAP, Api, ApiError, Json
from fedwright_operator.cluster.labels import LESSONS, managed

NAME = "fedwright-lessons"
KEY = "lessons.jsonl"
_TRIES = 8
"""Requests of one namespace may end at one time, each in a pass of its own."""


class Lessons:
    """Of all namespaces. Safe to use from many threads."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def of(self, namespace: str) -> bytes:
        """A lesson a line, the oldest first; b'' where there is none."""
        return _kept(self._api.find(CONFIG_MAP, namespace, NAME))

    def add(self, namespace: str, document: bytes) -> None:
        """Keep those of a finished request that are not kept yet. Raises ValueError where the document is no list of lessons."""
        offered = lines_of(document)
        for left in reversed(range(_TRIES)):
            try:
                self._add(namespace, offered)
                return
            except ApiError as problem:
                if not (problem.conflict and left):
                    raise

    def _add(self, namespace: str, offered: tuple[bytes, ...]) -> None:
        found = self._api.find(CONFIG_MAP, namespace, NAME)
        before = _kept(found)
        after = with_more(before, offered)
        if after == before:
            return
        if found is None:
            self._api.create(CONFIG_MAP, _body(namespace, after))
        else:
            self._api.replace(CONFIG_MAP, {**found, "data": {**(found.get("data") or {}), KEY: after.decode()}})


def _kept(found: Json | None) -> bytes:
    """Anyone who may write ConfigMaps there may have written it, so it is bounded; planners read each line as hostile."""
    said = ((found or {}).get("data") or {}).get(KEY, "")
    return with_more(said.encode(), ())


def _body(namespace: str, lines: bytes) -> Json:
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {"name": NAME, "namespace": namespace, "labels": managed(LESSONS)},
        "data": {KEY: lines.decode()},
    }
