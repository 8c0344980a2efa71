"""Federations as Helm releases: their private things, the chart, and what is seen of their pods.

Private things are Secrets beside the release, not in it. Who is connected is the SuperLink's own word, which the registrar in
its pod prints: it is read from the log, so no pod needs a token of the cluster's, no port is open for it, and the operator needs
no right that it has not for its Jobs.
"""

import base64
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any

from pydantic import ValidationError

from fedwright_crds import certificates
from fedwright_crds.base import canonical, digest_of
from fedwright_crds.federation import FleetSeen
from fedwright_operator.cluster import federation_values, fleet_keys
from fedwright_operator.cluster.api import CONFIG_MAP, POD, SECRET, Api, ApiError, Json, Type
from fedwright_operator.cluster.federation_values import FederationError, FederationSettings, Images, Public
from fedwright_operator.cluster.fleet_keys import Vault
from fedwright_operator.cluster.helm import Helm, HelmError
from fedwright_operator.cluster.labels import managed
from fedwright_operator.reconcile.api import Release, ReleaseStatus
from fedwright_operator.shell.clock import now, stamp

STATEFUL_SET = Type("apps/v1", "StatefulSet", "statefulsets")
FLEET_ROLE = "federation"
"""Of the Secrets and the ConfigMap beside a release."""
FRESH_SECONDS = 30
"""What the registrar said before counts no more; it says something every five seconds."""
CHECK_SECONDS = 600.0
"""How often certificates and the release are looked after where nothing has changed."""
AGAIN_SECONDS = 20.0
"""After what Helm would not do."""


@dataclass(frozen=True)
class Fleet:
    """A federation that is to be up, and whose it is."""

    release: Release
    namespace: str
    owner: Json
    """A reference; what lies beside the Helm release goes with it."""

    @property
    def name(self) -> str:
        return federation_values.release_name(self.release.name)


@dataclass
class _Known:
    """What this process remembers of a federation, to save calls; without it all is looked up again."""

    wanted: str = ""
    next_check: float = 0.0
    expires_at: str = ""
    problem: str = ""


@dataclass
class Releases:
    """The federations of a cluster. Its methods may raise ApiError and AwayError; calls about one federation come one by one."""

    api: Api
    helm: Helm
    images: Images
    settings: FederationSettings
    _known: dict[tuple[str, str], _Known] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def ensure(self, fleet: Fleet) -> None:
        """Make it so. What stands in the way, in the spec or at Helm's, is told by `status`."""
        known, wanted = self._of(fleet), _digest(fleet, self.images, self.settings)
        if known.wanted == wanted and time.monotonic() < known.next_check:
            return
        known.wanted, known.problem = wanted, ""
        try:
            known.expires_at = self._settle(fleet, now())
            known.next_check = time.monotonic() + CHECK_SECONDS
        except (FederationError, HelmError) as problem:
            known.problem = str(problem)
            known.next_check = time.monotonic() + AGAIN_SECONDS

    def status(self, fleet: Fleet) -> ReleaseStatus:
        """What is seen of it now."""
        known = self._of(fleet)
        ready = {part: self._ready(fleet, part, known) for part in ("superlink", "serverapp")}
        seen = self._seen(fleet) if ready["superlink"] else None
        nodes = sum(group.nodes for group in fleet.release.spec.groups)
        fits = seen is not None and seen.wanted == nodes
        missing = [f"{part} is not ready" for part, is_ready in ready.items() if not is_ready]
        if seen is None and ready["superlink"]:
            missing.append("the registrar says nothing")
        elif seen is not None and not fits:
            missing.append(f"the SuperLink is told of {seen.wanted} of {nodes} nodes")
        whole = fits and seen is not None and seen.connected == nodes and not missing
        said = [known.problem, *missing, seen.message if seen else "", "" if whole else self._trouble(fleet)]
        return ReleaseStatus(
            ready=all(ready.values()) and fits and seen is not None and seen.complete,
            nodes_connected=seen.connected if seen else 0,
            address=federation_values.address(fleet.release.name, fleet.namespace, fleet.release.spec, self.settings),
            certificate_expires_at=known.expires_at,
            message="; ".join(filter(None, said))[:1000],
        )

    # -- making it so -----------------------------------------------------------------------------
    def _settle(self, fleet: Fleet, at: datetime) -> str:
        """When the server's certificate ends."""
        name, spec = fleet.release.name, fleet.release.spec
        needs = federation_values.needs(name, fleet.namespace, spec, self.settings)
        found = self._vault(fleet, (*fleet_keys.FIXED, *map(fleet_keys.keys_of, needs.groups)))
        try:
            vault = fleet_keys.settled(found, needs, at)
            nodes = fleet_keys.public_keys(vault)
        except ValueError as problem:
            raise FederationError(f"a Secret of {fleet.name} cannot be read ({problem}); delete it") from problem
        for ending, data in vault.items():
            if found.get(ending) != data:
                self.api.apply(SECRET, _secret(fleet, ending, data))
        self.api.apply(CONFIG_MAP, _nodes(fleet, nodes))
        public = Public(vault[fleet_keys.AUTHORITY]["ca.crt"].decode(), fleet_keys.checksums(vault))
        whose = {key: fleet.owner[key] for key in ("apiVersion", "kind", "name", "uid")}
        values = {**federation_values.values(name, spec, self.images, self.settings, public), "owner": whose}
        self.api.fence()
        self.helm.ensure(fleet.name, fleet.namespace, values)
        self._own_records(fleet)
        for group in fleet_keys.groups_in(found) - set(needs.groups):
            self.api.delete(SECRET, fleet.namespace, f"{fleet.name}-{fleet_keys.keys_of(group)}")
        return stamp(certificates.ends_at(vault[fleet_keys.TLS]["tls.crt"]))

    def _own_records(self, fleet: Fleet) -> None:
        """Helm's own records go with the federation too. At each newer revision Helm writes the one before it anew, without
        the owner that it had."""
        for record in self.api.metadata(CONFIG_MAP, fleet.namespace, f"owner=helm,name={fleet.name}"):
            if all(one["uid"] != fleet.owner["uid"] for one in record.get("ownerReferences", ())):
                patch = {"metadata": {"ownerReferences": [fleet.owner]}}
                self.api.merge(CONFIG_MAP, fleet.namespace, record["name"], patch)

    def _vault(self, fleet: Fleet, endings: tuple[str, ...]) -> Vault:
        found = {ending: self.api.find(SECRET, fleet.namespace, f"{fleet.name}-{ending}") for ending in endings}
        return {ending: _decoded(body) for ending, body in found.items() if body is not None}

    def _of(self, fleet: Fleet) -> _Known:
        with self._lock:
            return self._known.setdefault((fleet.namespace, fleet.name), _Known())

    # -- seeing -----------------------------------------------------------------------------------
    def _ready(self, fleet: Fleet, part: str, known: _Known) -> bool:
        found = self.api.find(STATEFUL_SET, fleet.namespace, f"{fleet.name}-{part}")
        if found is None:
            known.wanted = ""  # somebody took it away: the next `ensure` looks again
            return False
        status = found.get("status", {})
        current = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        return bool(current and status.get("readyReplicas", 0) >= 1)

    def _seen(self, fleet: Fleet) -> FleetSeen | None:
        """The registrar's last words, if they are fresh."""
        try:
            words = self.api.last_line(fleet.namespace, f"{fleet.name}-superlink-0", "registrar", FRESH_SECONDS)
        except ApiError:  # its container has not started
            return None
        try:
            return FleetSeen.model_validate_json(words)
        except ValidationError:
            return None

    def _trouble(self, fleet: Fleet) -> str:
        """Why a pod does not run, of the first that does not."""
        pods = self.api.list(POD, fleet.namespace, f"app.kubernetes.io/instance={fleet.name}")
        return next(_troubles(pods), "")


def _troubles(pods: list[Json]) -> Iterator[str]:
    for pod in sorted(pods, key=lambda one: str(one["metadata"]["name"])):
        name, status = pod["metadata"]["name"], pod.get("status", {})
        for condition in status.get("conditions") or ():
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                yield f"{name}: {condition.get('message', '')}"
        for one in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
            waiting = (one.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
                yield f"{name}: {one.get('name')}: {waiting['reason']}: {waiting.get('message', '')}"


def _digest(fleet: Fleet, images: Images, settings: FederationSettings) -> str:
    pods = [images.flower, images.pull_policy, *images.pull_secrets]
    return digest_of(canonical([fleet.release.spec.to_wire(), pods, settings.to_wire()]))


def _secret(fleet: Fleet, ending: str, data: Mapping[str, bytes]) -> Json:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    body = _body(fleet, SECRET, ending)
    return {**body, "type": "Opaque", "data": encoded}


def _nodes(fleet: Fleet, keys: Mapping[str, bytes]) -> Json:
    return {**_body(fleet, CONFIG_MAP, "nodes"), "data": {name: key.decode() for name, key in keys.items()}}


def _body(fleet: Fleet, kind: Type, ending: str) -> dict[str, Any]:
    metadata = {
        "name": f"{fleet.name}-{ending}",
        "namespace": fleet.namespace,
        "labels": managed(FLEET_ROLE, **{"app.kubernetes.io/instance": fleet.name}),
        "ownerReferences": [fleet.owner],
    }
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def _decoded(body: Json) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in (body.get("data") or {}).items()}
