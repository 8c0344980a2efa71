"""What nodes are told of themselves, and the shards that a trial's nodes get."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from flwr.common.config import parse_config_args

from fedwright_crds.federation import FederationSpec, NodeData, NodeGroup, Placement
from fedwright_crds.task import Data, DataSource, Head, Partition, PartitionKind, Task
from fedwright_federation.flower.home import Home
from fedwright_federation.flower.node_data import make_trial_data, settings
from fedwright_federation.packaging.files import read_arrays
from fedwright_federation.tasks import TEST, load_task

TASK = Task(data=Data(source=DataSource.DIGITS), partition=Partition(kind=PartitionKind.IID), clients=2)


def spec(*groups: NodeGroup) -> FederationSpec:
    return FederationSpec(groups=groups)


def test_nodes_are_numbered_over_all_groups(tmp_path: Path) -> None:
    own = NodeGroup(name="own", nodes=2, data=NodeData(path="/data/it's here.npz"))
    called = NodeGroup(name="called", nodes=1, data=NodeData(entry_point="owner.data:load"))
    nodes = settings(Home(tmp_path), spec(own, called))
    assert [node.name for node in nodes] == ["own-0", "own-1", "called-0"]
    configs = [parse_config_args([node.config]) for node in nodes]
    assert [config["partition-id"] for config in configs] == [0, 1, 2]
    assert {config["num-partitions"] for config in configs} == {3}
    assert configs[0]["data-path"] == "/data/it's here.npz"
    assert configs[2]["data-entry-point"] == "owner.data:load" and "data-path" not in configs[2]
    assert len({str(config["state-dir"]) for config in configs}) == 3


def test_nodes_placed_on_gpus_compute_there(tmp_path: Path) -> None:
    data = NodeData(path="/data/rows.npz")
    plain, placed = (
        NodeGroup(name="plain", nodes=1, data=data),
        NodeGroup(name="a", nodes=1, data=data, placement=Placement.GPU),
    )
    configs = [parse_config_args([node.config]) for node in settings(Home(tmp_path), spec(plain, placed))]
    assert "device" not in configs[0] and configs[1]["device"] == "cuda"


def test_a_trials_nodes_hold_one_shard_each(tmp_path: Path) -> None:
    nodes = settings(Home(tmp_path), spec(NodeGroup(name="trial", nodes=2, data=NodeData(task=TASK))))
    make_trial_data(nodes)
    task = load_task(TASK, 0)
    for node in nodes:
        arrays = read_arrays(node.home.data)
        assert np.array_equal(arrays["x"], task.shard(node.number).x)
        assert np.array_equal(arrays["y_test"], task.y[task.rows(TEST, node.number)])
    before = nodes[0].home.data.stat().st_mtime_ns
    make_trial_data(nodes)
    assert nodes[0].home.data.stat().st_mtime_ns == before


def test_more_nodes_than_clients_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"3 nodes and its task 2 clients; raise task\.clients"):
        settings(Home(tmp_path), spec(NodeGroup(name="trial", nodes=3, data=NodeData(task=TASK))))


def test_nodes_whose_trial_data_are_of_another_head_are_refused(tmp_path: Path) -> None:
    heads = (Head(name="a"), Head(name="b", groups=((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))))
    trial = NodeGroup(name="trial", nodes=2, data=NodeData(task=TASK.model_copy(update={"heads": heads})))
    own = NodeGroup(name="own", nodes=1, data=NodeData(entry_point="owner.data:load"))
    with pytest.raises(ValueError, match="trial begins after 1 nodes and its task has 2 heads in turn"):
        settings(Home(tmp_path), spec(own, trial))
    assert len(settings(Home(tmp_path), spec(trial, own))) == 3


def test_a_fleet_that_cannot_be_says_why(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In a process of its own, as it ties itself to its parent."""
    (tmp_path / "spec.json").write_text('{"groups": []}')
    program = [sys.executable, "-m", "fedwright_federation.flower.fleet", "--home", str(tmp_path / "home")]
    assert subprocess.run([*program, "--spec", str(tmp_path / "spec.json")], check=False).returncode == 1
    assert "groups" in capfd.readouterr().err
