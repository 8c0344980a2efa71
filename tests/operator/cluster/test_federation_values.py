"""A Federation as values of its chart: names that the API takes, numbers, data that may be read, and what is refused."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedwright_crds.federation import FederationSpec, FleetReach
from fedwright_operator.cluster.federation_values import (
    LONGEST_GROUP,
    LONGEST_RELEASE,
    FederationError,
    FederationSettings,
    Images,
    NodeVolume,
    Public,
    address,
    control_secret,
    group_name,
    needs,
    release_name,
    values,
)

Json = dict[str, Any]
IMAGES = Images("flower:1", "IfNotPresent", ("registry",))
PUBLIC = Public("PEM", {"server": "s", "authority": "a"})
DISKS = FederationSettings(
    node_volumes=(NodeVolume(below="/srv/fl", host=True), NodeVolume(below="/data", claim="data"))
)
OUTSIDE = FederationSettings(external_host="fl.example.org", values={"external": {"port": 9000}})
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def spec(*groups: Json) -> FederationSpec:
    return FederationSpec.model_validate_json(json.dumps({"groups": groups}))


def group(name: str = "ward", nodes: int = 2, **more: Any) -> Json:
    return {"name": name, "nodes": nodes, "data": {"entryPoint": "clinic:load"}, **more}


def made(federation: FederationSpec, settings: FederationSettings = DISKS) -> Json:
    return values("hospital", federation, IMAGES, settings, PUBLIC)


def test_groups_are_numbered_on() -> None:
    found = made(spec(group("a", 3), group("b", 2), group("c", 1)))["groups"]
    assert [(one["name"], one["first"], one["nodes"]) for one in found] == [("a", 0, 3), ("b", 3, 2), ("c", 5, 1)]


def test_a_federation_s_own_values_lie_over_the_administrator_s() -> None:
    settings = FederationSettings(values={"image": "other", "storage": {"results": "9Gi"}})
    found = made(spec(group()), settings)
    assert found["image"] == "flower:1" and found["storage"] == {"results": "9Gi"}
    assert found["imagePullSecrets"] == [{"name": "registry"}]


def test_the_pods_that_may_control_it_are_boxes_of_this_federation() -> None:
    labels = made(spec(group()))["controllers"]["podLabels"]
    assert labels == {"fedwright.dev/network": "federation", "fedwright.dev/federation": "hospital"}


def test_a_file_on_the_nodes_is_mounted_itself_and_a_claim_as_its_folder() -> None:
    found = made(spec(group(data={"path": "/srv/fl/x.npz"}), group("b", data={"path": "/data/deep/x.npz"})))["groups"]
    assert found[0]["data"]["volume"] == {"mountPath": "/srv/fl/x.npz", "hostPath": "/srv/fl/x.npz"}
    assert found[1]["data"]["volume"] == {"mountPath": "/data", "claim": "data"}


@pytest.mark.parametrize(
    "path",
    ["/etc/kubernetes/pki/ca.npz", "/srv/fl/../../etc/x.npz", "srv/fl/x.npz", "/srv/flx/x.npz", "/srv/fl", "/data/a:b"],
)
def test_a_path_that_no_administrator_opened_is_refused(path: str) -> None:
    with pytest.raises(FederationError, match=r"group ward: data\.path"):
        made(spec(group(data={"path": path})))


def test_a_path_of_a_node_outside_is_its_own_affair() -> None:
    (found,) = made(spec(group(data={"path": "/anywhere"}, placement="External")))["groups"]
    assert "volume" not in found["data"]


def test_more_nodes_than_its_task_has_clients_are_refused_with_the_mend() -> None:
    task = {"task": {"data": {"source": "Digits"}, "clients": 2}}
    with pytest.raises(FederationError, match=r"group ward has 3 nodes and its task 2 clients; raise task\.clients"):
        made(spec(group(nodes=3, data=task)))


def test_too_many_nodes_for_one_superlink_are_refused() -> None:
    with pytest.raises(FederationError, match="make several federations"):
        made(spec(*(group(f"g{i}", 1000) for i in range(5))))


def test_nodes_outside_get_an_address_of_their_own_and_it_is_in_the_certificate() -> None:
    outside, inside = spec(group(placement="External")), spec(group())
    assert address("hospital", "ns", outside, OUTSIDE) == "fl.example.org:9000"
    assert address("hospital", "ns", inside, OUTSIDE) == "fed-hospital-superlink.ns.svc:8000"
    assert "fl.example.org" in needs("hospital", "ns", outside, OUTSIDE).names
    assert "fl.example.org" not in needs("hospital", "ns", inside, OUTSIDE).names


def test_whoever_submits_runs_is_told_where() -> None:
    found = needs("hospital", "ns", spec(group(nodes=3)), DISKS)
    reach = FleetReach.model_validate_json(found.reach)
    assert reach.control_address.split(":")[0] in found.names and reach.results_address.split(":")[0] in found.names
    assert reach.nodes_wanted == 3 and control_secret("hospital") == "fed-hospital-control"


@given(st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?(\.[a-z0-9]{1,9})?\Z"))
def test_every_name_of_a_federation_makes_names_of_objects(name: str) -> None:
    found = release_name(name)
    assert LABEL.fullmatch(found) and len(found) <= LONGEST_RELEASE


@given(st.from_regex(r"\A[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z"))
def test_every_name_of_a_group_makes_names_of_objects(name: str) -> None:
    found = group_name(name)
    assert LABEL.fullmatch(found) and len(found) <= LONGEST_GROUP
    assert (
        len(f"{'r' * LONGEST_RELEASE}-node-{found}") <= 52
    )  # a StatefulSet's pods are labelled with its name and a hash


@pytest.mark.parametrize(("one", "other"), [("Ward", "ward"), ("a.b", "a-b"), ("a" * 20, "a" * 21)])
def test_names_that_look_alike_stay_apart(one: str, other: str) -> None:
    assert group_name(one) != group_name(other)
