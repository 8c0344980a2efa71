"""What kopf does for us: it watches our own kinds. Every event goes to the intake; nothing is decided here.

It keeps nothing on resources: no annotation, no finalizer.
"""

from typing import Any

import kopf
from typing_extensions import override

from fedwright_operator.cluster.api import CONFIG_MAP, Type
from fedwright_operator.cluster.intake import Intake
from fedwright_operator.cluster.labels import PULSE, ROLE
from fedwright_operator.cluster.ours import OURS
from fedwright_operator.cluster.watches import WORKS


def watch(registry: kopf.OperatorRegistry, intake: Intake) -> None:
    """Our kinds, and the pulse by which it is seen that kopf lives."""

    @kopf.on.login(registry=registry)
    def login(**known: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**known) or kopf.login_with_kubeconfig(**known)

    for kind in (*OURS.values(), CONFIG_MAP):
        _watch(registry, kind, intake)


def _watch(registry: kopf.OperatorRegistry, kind: Type, intake: Intake) -> None:
    @kopf.on.event(*_selector(kind), id=f"watch-{kind.plural}", registry=registry)
    def changed(event: kopf.RawEvent, **_: Any) -> None:
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **event["object"]}
        if event["type"] == "DELETED":
            intake.deleted(body)
        else:
            intake.present(body)


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
    settings.watching.label_selectors[_selector(CONFIG_MAP)] = f"{WORKS},{ROLE}={PULSE}"
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
