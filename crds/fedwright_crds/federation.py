"""Federation: a fleet of real Flower nodes that outlives strategies."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fedwright_crds.base import KeyedBy, Line, Strict, Word
from fedwright_crds.cluster import cel, cluster_rules
from fedwright_crds.meta import Conditions, Resource
from fedwright_crds.task import EntryPoint, Task


class Placement(StrEnum):
    ANY = "Any"
    EDGE = "Edge"
    GPU = "Gpu"
    EXTERNAL = "External"


class NodeData(Strict):
    """How a node loads its own data: a file on the node, the owner's function, or a shard of a known task for trials."""

    model_config = cluster_rules(
        cel(
            "[has(self.path), has(self.entryPoint), has(self.task)].filter(given, given).size() == 1",
            "a node has one source of data; give exactly one of path, entryPoint and task",
        )
    )

    path: Line | None = Field(default=None, description="An .npz on the node with x [n, ...] float32 and y [n] int64.")
    entry_point: EntryPoint | None = None
    task: Task | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("path", "entry_point", "task") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("a node has one source of data; give exactly one of path, entryPoint and task")
        return self


class NodeGroup(Strict):
    name: Word
    nodes: Annotated[int, Field(ge=1, le=1000)]
    placement: Placement = Placement.ANY
    data: NodeData


class FederationSpec(Strict):
    groups: Annotated[tuple[NodeGroup, ...], Field(min_length=1, max_length=16), KeyedBy(("name",))]
    certificate_days: Annotated[int, Field(ge=1, le=3650)] = 365


def misfit(spec: FederationSpec) -> str:
    """Why the groups' tasks do not fit their nodes, and the mend; '' where they do.

    A node has the head of its number over all groups, and its trial data are those of its place in its own.
    """
    before = 0
    for group in spec.groups:
        clients = group.data.task.clients if group.data.task else group.nodes
        if clients < group.nodes:
            return f"group {group.name} has {group.nodes} nodes and its task {clients} clients; raise task.clients"
        heads = len(group.data.task.heads) if group.data.task else 0
        if heads and before % heads:
            return (
                f"group {group.name} begins after {before} nodes and its task has {heads} heads in turn; "
                f"let it begin after a multiple of {heads}"
            )
        before += group.nodes
    return ""


class FederationPhase(StrEnum):
    PENDING = "Pending"
    STARTING = "Starting"
    READY = "Ready"
    DEGRADED = "Degraded"
    STOPPED = "Stopped"
    FAILED = "Failed"


class FederationStatus(Strict):
    phase: FederationPhase = FederationPhase.PENDING
    observed_generation: Annotated[int, Field(ge=0)] = 0
    conditions: Conditions = ()
    nodes_wanted: Annotated[int, Field(ge=0)] = 0
    nodes_connected: Annotated[int, Field(ge=0)] = 0
    address: Line = ""
    certificate_expires_at: Line = ""


class FleetSeen(Strict):
    """What stands beside a SuperLink says of its nodes, one line of JSON at a time."""

    wanted: Annotated[int, Field(ge=0)]
    connected: Annotated[int, Field(ge=0)]
    complete: bool
    """All were connected at once, since whoever says so began to look."""
    message: Line = ""


class FleetReach(Strict):
    """Where a federation's services are, for whoever submits runs to it."""

    control_address: Line
    """Host and port of the Control API."""
    results_address: Line
    """Host and port of what its ServerApps left."""
    nodes_wanted: Annotated[int, Field(ge=1)]


class Federation(Resource):
    """A SuperLink with groups of SuperNodes, certificates and node keys."""

    kind: Literal["Federation"] = "Federation"
    spec: FederationSpec
    status: FederationStatus = FederationStatus()
