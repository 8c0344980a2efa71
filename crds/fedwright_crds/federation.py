"""Federation: a fleet of real Flower nodes that outlives strategies."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from fedwright_crds.base import Line, Strict, Word
from fedwright_crds.meta import Condition, Resource
from fedwright_crds.task import EntryPoint, Task


class Placement(StrEnum):
    ANY = "Any"
    EDGE = "Edge"
    GPU = "Gpu"
    EXTERNAL = "External"


class NodeData(Strict):
    """How a node loads its own data: a file on the node, the owner's function, or a shard of a known task for trials."""

    path: Line | None = Field(
        default=None, description="An .npz on the node with x [n, ...] float32 and y [n] int64."
    )
    entry_point: EntryPoint | None = None
    task: Task | None = None


class NodeGroup(Strict):
    name: Word
    nodes: Annotated[int, Field(ge=1, le=1000)]
    placement: Placement = Placement.ANY
    data: NodeData


class FederationSpec(Strict):
    groups: Annotated[tuple[NodeGroup, ...], Field(min_length=1, max_length=16)]
    certificate_days: Annotated[int, Field(ge=1, le=3650)] = 365


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
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    nodes_wanted: Annotated[int, Field(ge=0)] = 0
    nodes_connected: Annotated[int, Field(ge=0)] = 0
    address: Line = ""
    certificate_expires_at: Line = ""


class Federation(Resource):
    """A SuperLink with groups of SuperNodes, certificates and node keys."""

    kind: Literal["Federation"] = "Federation"
    spec: FederationSpec
    status: FederationStatus = FederationStatus()
