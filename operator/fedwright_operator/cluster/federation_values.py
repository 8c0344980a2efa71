"""A Federation as values of its chart, and as names. Pure.

The values say what one federation is; what an administrator says of all of them lies below. Private things are in no value:
Helm keeps every revision's values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from fedwright_crds.base import Line, Name, Strict, canonical, digest_of
from fedwright_crds.federation import FederationSpec, FleetReach, NodeData, NodeGroup, Placement, misfit
from fedwright_crds.work import BoxKind
from fedwright_operator.cluster import names
from fedwright_operator.cluster.fit import Network
from fedwright_operator.cluster.fleet_keys import Needs
from fedwright_operator.cluster.settings import BoxSettings

Values = dict[str, Any]

LONGEST_RELEASE = 30
"""So that the name of every pod is a label."""
LONGEST_GROUP = 16
MOST_NODES = 4000
"""Their public keys lie in one ConfigMap."""
FLEET_PORT, CONTROL_PORT, RESULTS_PORT = 8000, 8001, 8003
_PREFIX = "fed-"
Folder = Annotated[str, StringConstraints(pattern=r"^/[^:]*$", max_length=1024)]


class FederationError(ValueError):
    """The federation cannot be brought up as it is asked for; the message names the field and the mend."""


class NodeVolume(Strict):
    """Where nodes find the data whose paths lie below a folder: in a claim of the namespace, or on the nodes' own disks."""

    below: Folder
    claim: Name | None = None
    per_node: bool = False
    """Of the claim, each node sees the folder `<its place in its group>` alone."""
    host: bool = False
    """The very file, on the node's own disk. The namespace's pod security must allow hostPath."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.claim is not None) == self.host:
            raise ValueError("node data are in a claim or on the nodes; give claim or host, and not both")
        if self.per_node and self.host:
            raise ValueError("perNode is for claims: a node's own disk is its own already; remove it")
        return self


class FederationSettings(Strict):
    """What the administrator says of all federations."""

    node_volumes: Annotated[tuple[NodeVolume, ...], Field(max_length=64)] = ()
    """The first below whose folder a path lies is taken; a path below none is refused, as it could be any file of a node."""
    external_host: Line = ""
    """A host name or address under which nodes outside the cluster find SuperLinks."""
    values: dict[str, Any] = Field(default_factory=dict)
    """Of the chart: storage, resources, placement, how nodes outside come in, and the like."""

    @property
    def external_port(self) -> int:
        """At which nodes outside find a SuperLink."""
        external = self.values.get("external")
        return int(external.get("port", FLEET_PORT)) if isinstance(external, dict) else FLEET_PORT


@dataclass(frozen=True)
class Images:
    """What the pods run."""

    flower: str
    pull_policy: str
    pull_secrets: tuple[str, ...] = ()

    @classmethod
    def of(cls, boxes: BoxSettings) -> "Images":
        """Raises ImageError where it is not configured."""
        configured = boxes.images.get(BoxKind.PLATFORM)
        flower = boxes.image(BoxKind.PLATFORM, configured.pin if configured else "")
        return cls(flower, boxes.pull_policy, boxes.image_pull_secrets)


@dataclass(frozen=True)
class Public:
    """What of the private things everybody may know."""

    authority: str
    """PEM."""
    checksums: Mapping[str, str]


def release_name(federation: str) -> str:
    """Of the Helm release, and the beginning of all its objects' names."""
    return _PREFIX + _short(federation, LONGEST_RELEASE - len(_PREFIX))


def control_secret(federation: str) -> str:
    """The Secret by which a Platform box reaches a federation."""
    return f"{release_name(federation)}-control"


def address(federation: str, namespace: str, spec: FederationSpec, settings: FederationSettings) -> str:
    """Where SuperNodes connect: those outside, where there are such."""
    if settings.external_host and _has_external(spec):
        return f"{settings.external_host}:{settings.external_port}"
    return f"{release_name(federation)}-superlink.{namespace}.svc:{FLEET_PORT}"


def needs(federation: str, namespace: str, spec: FederationSpec, settings: FederationSettings) -> Needs:
    """Of private things. Raises FederationError."""
    _require_possible(spec, settings)
    release = release_name(federation)
    services = (f"{release}-superlink", f"{release}-serverapp")
    forms = ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local")
    outside = (settings.external_host,) if settings.external_host and _has_external(spec) else ()
    reach = FleetReach(
        control_address=f"{services[0]}:{CONTROL_PORT}",
        results_address=f"{services[1]}:{RESULTS_PORT}",
        nodes_wanted=sum(group.nodes for group in spec.groups),
    )
    return Needs(
        names=(*(service + form for service in services for form in forms), "localhost", "127.0.0.1", *outside),
        groups={group_name(group.name): group.nodes for group in spec.groups},
        days=spec.certificate_days,
        reach=canonical(reach.model_dump(mode="json", by_alias=True)),
    )


def values(
    federation: str, spec: FederationSpec, images: Images, settings: FederationSettings, public: Public
) -> Values:
    """Raises FederationError."""
    _require_possible(spec, settings)
    controllers = {names.NETWORK: Network.FEDERATION.value, names.FEDERATION: names.label_value(federation)}
    computed: Values = {
        "image": images.flower,
        "pullPolicy": images.pull_policy,
        "imagePullSecrets": [{"name": name} for name in images.pull_secrets],
        "authority": public.authority,
        "checksums": dict(public.checksums),
        "controllers": {"podLabels": controllers},
        "groups": list(_groups(spec, settings)),
    }
    if settings.external_host:
        computed["external"] = {"host": settings.external_host}
    return _laid_over(settings.values, computed)


def group_name(title: str) -> str:
    """Of a group's objects."""
    return _short(title, LONGEST_GROUP)


def _groups(spec: FederationSpec, settings: FederationSettings) -> Iterator[Values]:
    first = 0
    for group in spec.groups:
        yield {
            "name": group_name(group.name),
            "title": group.name,
            "first": first,
            "nodes": group.nodes,
            "placement": group.placement.value,
            "data": _data(group, settings),
        }
        first += group.nodes


def _data(group: NodeGroup, settings: FederationSettings) -> Values:
    source = group.data.to_wire()
    if group.data.path is None or group.placement is Placement.EXTERNAL:
        return {"source": source}
    return {"source": source, "volume": _volume(group.name, group.data, settings)}


def _volume(group: str, data: NodeData, settings: FederationSettings) -> Values:
    path = PurePosixPath(data.path or "")
    if not path.is_absolute() or ".." in path.parts or any(letter in str(path) for letter in ":\0"):
        raise FederationError(f"group {group}: data.path {path} must be absolute, without '..' and ':'; write it so")
    for volume in settings.node_volumes:
        if PurePosixPath(volume.below) in path.parents:
            return _mount(volume, path)
    allowed = ", ".join(volume.below for volume in settings.node_volumes) or "none"
    raise FederationError(
        f"group {group}: data.path {path} lies below no folder that nodes may read (allowed: {allowed}); "
        "move the data or ask the administrator for another folder (federations.nodeVolumes)"
    )


def _mount(volume: NodeVolume, path: PurePosixPath) -> Values:
    if volume.host:
        return {"mountPath": str(path), "hostPath": str(path)}
    mount: Values = {"mountPath": volume.below, "claim": volume.claim}
    return {**mount, "subPathExpr": "$(FEDWRIGHT_PLACE)"} if volume.per_node else mount


def _require_possible(spec: FederationSpec, settings: FederationSettings) -> None:
    if problem := misfit(spec):
        raise FederationError(problem)
    nodes = sum(group.nodes for group in spec.groups)
    if nodes > MOST_NODES:
        raise FederationError(
            f"spec.groups have {nodes} nodes and one SuperLink takes {MOST_NODES}; make several federations"
        )
    for group in spec.groups:
        _data(group, settings)


def _has_external(spec: FederationSpec) -> bool:
    return any(group.placement is Placement.EXTERNAL for group in spec.groups)


def _short(name: str, longest: int) -> str:
    """A DNS label: the name itself, or what is left of it and a digest that tells it from others."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    if plain == name and len(name) <= longest and not name.startswith("-"):
        return name
    digest = digest_of(name.encode())[7:13]
    return f"{plain[: longest - len(digest) - 1].strip('-')}-{digest}".strip("-")


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> Values:
    """Maps are merged; of everything else the upper one counts."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _laid_over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged
