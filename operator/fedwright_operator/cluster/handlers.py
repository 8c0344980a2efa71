"""What kopf does for us: it watches. Every event goes into the cache, and its root into a queue; nothing is decided here.

Kopf lists all that it indexes before it hands on the first event, so no pass sees half of a cluster. It keeps nothing on
resources: no annotation, no finalizer.
"""

from collections.abc import Callable, Mapping
from typing import Any

import kopf
from typing_extensions import override

from fedwright_operator.cluster.api import CONFIG_MAP, JOB, POD, Json, Type
from fedwright_operator.cluster.cache import Cache, root_of
from fedwright_operator.cluster.labels import FEDWRIGHT, MANAGED_BY, PULSE, RESULT, ROLE
from fedwright_operator.cluster.ours import OURS

Ask = Callable[[str], None]
Beat = Callable[[str], None]

WORKS = f"{MANAGED_BY}={FEDWRIGHT}"
SELECTORS = {JOB: WORKS, POD: WORKS, CONFIG_MAP: f"{WORKS},{ROLE} in ({RESULT},{PULSE})"}
"""What of the cluster's own kinds is watched: the API server sends no more than that."""


def watch(registry: kopf.OperatorRegistry, cache: Cache, ask: Ask, beat: Beat) -> None:
    """`ask` is told the root of whatever changed; `beat` whose pulse it is that comes through its watch."""

    @kopf.on.login(registry=registry)
    def login(**known: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**known) or kopf.login_with_kubeconfig(**known)

    for kind in (*OURS.values(), *SELECTORS):
        _watch(registry, kind, cache, ask, beat)


def _watch(registry: kopf.OperatorRegistry, kind: Type, cache: Cache, ask: Ask, beat: Beat) -> None:
    def whole(body: Mapping[str, Any]) -> Json:
        return {"apiVersion": kind.api_version, "kind": kind.kind, **body}

    @kopf.index(*_selector(kind), id=f"list-{kind.plural}", registry=registry)
    def listed(body: kopf.Body, **_: Any) -> None:
        if not _is_pulse(whole(body)):
            cache.put(whole(body))

    @kopf.on.event(*_selector(kind), id=f"watch-{kind.plural}", registry=registry)
    def changed(event: kopf.RawEvent, **_: Any) -> None:
        body = whole(event["object"])
        if _is_pulse(body):
            beat(str((body.get("data") or {}).get("by")))
            return
        if event["type"] == "DELETED":
            cache.drop(body, for_good=False)
        else:
            cache.put(body)
        ask(root_of(body))


def _is_pulse(body: Json) -> bool:
    return bool(body["kind"] == CONFIG_MAP.kind and body["metadata"].get("labels", {}).get(ROLE) == PULSE)


def _selector(kind: Type) -> tuple[str, str, str]:
    *group, version = kind.api_version.split("/")
    return (group[0] if group else "", version, kind.plural)


class _NoEssence(kopf.DiffBaseStorage):
    """Nobody asks kopf what has changed, so it need not copy every body to compare it."""

    @override
    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    @override
    def fetch(self, *, body: kopf.Body) -> None:
        return None

    @override
    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        pass


class _NoProgress(kopf.ProgressStorage):
    """No handler of ours is tried again by kopf."""

    @override
    def fetch(self, *, key: Any, body: kopf.Body) -> None:
        return None

    @override
    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        pass

    @override
    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        pass

    @override
    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        pass

    @override
    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def settings_for(settings: kopf.OperatorSettings) -> None:
    """Quiet, and sparing with the API and with time."""
    settings.persistence.diffbase_storage, settings.persistence.progress_storage = _NoEssence(), _NoProgress()
    for kind, selector in SELECTORS.items():
        settings.watching.label_selectors[_selector(kind)] = selector
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
