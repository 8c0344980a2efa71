"""What each node of a federation is told of itself: its partition, where its data are, where it keeps its clients' state."""

from dataclasses import dataclass

from fedwright_crds.federation import FederationSpec, NodeData
from fedwright_federation.flower.home import Home, NodeHome


@dataclass(frozen=True)
class NodeSetting:
    """One node. Numbers count from 0 over all groups, in their order; they are partition ids."""

    number: int
    name: str
    nodes: int
    data: NodeData
    place: int
    """Its place within its group, from 0."""
    home: NodeHome

    @property
    def config(self) -> str:
        """The value of `--node-config`."""
        entries: dict[str, int | str] = {"partition-id": self.number, "num-partitions": self.nodes}
        if self.data.entry_point:
            entries["data-entry-point"] = self.data.entry_point
        else:
            entries["data-path"] = self.data.path or str(self.home.data)
        entries["state-dir"] = str(self.home.state)
        return " ".join(f"{k}={v}" if isinstance(v, int) else f"{k}='{v}'" for k, v in entries.items())


def settings(home: Home, spec: FederationSpec) -> tuple[NodeSetting, ...]:
    """All nodes of a federation."""
    places = [(group, place) for group in spec.groups for place in range(group.nodes)]
    return tuple(
        NodeSetting(number, f"{group.name}-{place}", len(places), group.data, place, home.node(number))
        for number, (group, place) in enumerate(places)
    )
