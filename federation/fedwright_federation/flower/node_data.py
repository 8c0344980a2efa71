"""What each node of a federation is told of itself: its partition, where its data are, where it keeps its clients' state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fedwright_crds.base import canonical
from fedwright_crds.federation import FederationSpec, NodeData, Placement, misfit
from fedwright_crds.task import Task
from fedwright_federation.flower.home import Home, NodeHome
from fedwright_federation.packaging.files import write_arrays, write_whole

Device: TypeAlias = Literal["cpu", "cuda"]
DEVICES: Mapping[Placement, Device] = {place: "cuda" if place is Placement.GPU else "cpu" for place in Placement}
TRIAL_SEED = 0
"""Of the split of a known task over nodes that have no data of their own."""


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
    device: Device = "cpu"
    """Where its ClientApps compute."""

    @property
    def config(self) -> str:
        """The value of `--node-config`."""
        entries: dict[str, int | str] = {"partition-id": self.number, "num-partitions": self.nodes}
        if self.data.entry_point:
            entries["data-entry-point"] = self.data.entry_point
        else:
            entries["data-path"] = self.data.path or str(self.home.data)
        entries["state-dir"] = str(self.home.state)
        if self.device != "cpu":
            entries["device"] = self.device
        return " ".join(f"{k}={v}" if isinstance(v, int) else f"{k}={_quoted(v)}" for k, v in entries.items())


def _quoted(text: str) -> str:
    """As Flower reads a value: between quotes of a kind that it does not hold, with no way to escape them."""
    for quote in ("'", '"'):
        if quote not in text:
            return quote + text + quote
    raise ValueError(f"{text} holds both kinds of quotes, which no node config can; rename it")


def settings(home: Home, spec: FederationSpec) -> tuple[NodeSetting, ...]:
    """All nodes of a federation. Raises ValueError where a group's task does not fit its nodes."""
    if problem := misfit(spec):
        raise ValueError(problem)
    places = [(group, place) for group in spec.groups for place in range(group.nodes)]
    return tuple(
        NodeSetting(
            number, f"{group.name}-{place}", len(places), group.data, place, home.node(number), DEVICES[group.placement]
        )
        for number, (group, place) in enumerate(places)
    )


def make_trial_data(nodes: Sequence[NodeSetting]) -> None:
    """Write the shards of those nodes whose data are a known task's, unless they are there already."""
    for node in nodes:
        task, made_of = node.data.task, node.home.root / "data.task"
        if task is None:
            continue
        said = canonical([task.to_wire(), node.place])
        if not made_of.exists() or made_of.read_bytes() != said:
            _write_shard(node, task)
            write_whole(made_of, said)


def _write_shard(node: NodeSetting, task: Task) -> None:
    from fedwright_federation.tasks import TEST, load_task  # seconds of imports that only some federations need

    data = load_task(task, TRIAL_SEED)
    shard, held_out = data.shard(node.place), data.rows(TEST, node.place)
    write_arrays(
        node.home.data,
        {"x": shard.x, "y": shard.y, "x_test": data.x[held_out], "y_test": data.y[held_out]},
    )
