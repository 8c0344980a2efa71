"""The chart of a federation: what it makes of values, which values it refuses, who sees which key, and who reaches whom."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from golden import same_as
from helm import CHARTS, Helm
from pod_security import containers, pods, violations

from fedwright_crds.certificates import new_authority
from fedwright_crds.federation import FederationSpec
from fedwright_operator.cluster.federation_values import FederationSettings, Images, NodeVolume, Public, values

Json = dict[str, Any]

CHART, SNAPSHOTS = CHARTS / "federation", Path(__file__).parent / "snapshots"
AUTHORITY = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
IMAGES = Images("docker.io/fedwright/flower:dev", "IfNotPresent")
DIGITS: Json = {"data": {"source": "Digits"}, "clients": 4}
TRIAL: Json = {"name": "trial", "nodes": 2, "data": {"task": DIGITS}}
EVERYTHING: list[Json] = [
    TRIAL,
    {"name": "Ward_3", "nodes": 3, "placement": "Edge", "data": {"path": "/data/ward/rows.npz"}},
    {"name": "gpu", "nodes": 1, "placement": "Gpu", "data": {"path": "/mnt/rows $(HOME).npz"}},
    {"name": "partners", "nodes": 2, "placement": "External", "data": {"entryPoint": "clinic.data:load"}},
]
VOLUMES = (NodeVolume(below="/data", claim="ward-data", per_node=True), NodeVolume(below="/mnt", host=True))
OUTSIDE = {
    "port": 9000,
    "service": {"type": "NodePort", "nodePort": 30900},
    "from": ["192.0.2.0/24"],
}
ADMINISTRATOR: Json = {
    "external": OUTSIDE,
    "runtimeClassName": "gvisor",
    "trialImage": "docker.io/example/data:1",
    "placement": {"gpu": {"image": "docker.io/example/flower-cuda:1"}},
    "storage": {"className": "fast", "results": "8Gi"},
    "imagePullSecrets": [],
}
CASES: dict[str, tuple[list[Json], FederationSettings]] = {
    "trial": ([TRIAL], FederationSettings()),
    "everything": (
        EVERYTHING,
        FederationSettings(node_volumes=VOLUMES, external_host="fl.example.org", values=ADMINISTRATOR),
    ),
}


def of_case(case: str) -> Json:
    groups, settings = CASES[case]
    spec = FederationSpec.model_validate_json(json.dumps({"groups": groups}))
    return values("clinic", spec, IMAGES, settings, Public(AUTHORITY, {"server": "s", "authority": "a"}))


@pytest.fixture(params=CASES)
def manifests(helm: Helm, request: pytest.FixtureRequest) -> list[Json]:
    return helm.manifests("federation", of_case(request.param))


@pytest.fixture(scope="module")
def everything(helm: Helm) -> list[Json]:
    return helm.manifests("federation", of_case("everything"))


def of(manifests: list[Json], kind: str, name: str) -> Json:
    (found,) = [one for one in manifests if (one["kind"], one["metadata"]["name"]) == (kind, f"federation-{name}")]
    return found


def container(manifests: list[Json], part: str, name: str) -> Json:
    (found,) = [
        one for one in containers(of(manifests, "StatefulSet", part)["spec"]["template"]["spec"]) if one["name"] == name
    ]
    return found


def mounted(manifests: list[Json], part: str, name: str) -> dict[str, Json]:
    """What a container mounts of what is neither empty nor its own: by place, the volume with how it is mounted."""
    pod = of(manifests, "StatefulSet", part)["spec"]["template"]["spec"]
    volumes = {one["name"]: one for one in pod["volumes"]}
    mounts = {one["mountPath"]: one for one in container(manifests, part, name)["volumeMounts"]}
    kept = {place: {**volumes.get(one["name"], {}), **one} for place, one in mounts.items()}
    return {place: one for place, one in kept.items() if "emptyDir" not in one}


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing_to_complain_of(helm: Helm, case: str) -> None:
    helm("lint", "--strict", CHART, values=of_case(case))


@pytest.mark.parametrize("case", CASES)
def test_the_manifests_are_the_known_ones(helm: Helm, case: str) -> None:
    same_as(SNAPSHOTS / f"federation-{case}.yaml", helm.template("federation", of_case(case)))


def test_the_chart_takes_a_real_certificate(helm: Helm) -> None:
    made = new_authority(30, datetime(2026, 1, 1, tzinfo=UTC)).certificate.decode()
    assert helm.manifests("federation", of_case("trial") | {"authority": made})


def test_every_pod_may_run_where_only_restricted_ones_may(manifests: list[Json]) -> None:
    """But for a file of the node's own disk, which an administrator must have allowed."""
    found = [what for spec in pods(manifests) for what in violations(spec)]
    assert [what for what in found if "hostPath" not in what] == []


def test_no_pod_has_a_token_or_links_or_a_writable_root_or_no_limit(manifests: list[Json]) -> None:
    for spec in pods(manifests):
        assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False
        for one in containers(spec):
            assert one["securityContext"]["readOnlyRootFilesystem"] is True
            assert "memory" in one["resources"]["limits"] and "cpu" in one["resources"]["requests"]


# -- who holds what -------------------------------------------------------------------------------
def test_no_private_thing_is_in_a_value_or_in_a_manifest(helm: Helm) -> None:
    text = helm.template("federation", of_case("everything"))
    assert "PRIVATE KEY" not in text and "kind: Secret" not in text


def test_what_runs_client_apps_mounts_neither_key_nor_certificate(everything: list[Json]) -> None:
    assert mounted(everything, "node-trial", "superexec").keys() == {"/fedwright/node/state"}
    assert mounted(everything, "node-gpu", "superexec").keys() == {"/fedwright/node/state", "/mnt/rows $(HOME).npz"}


def test_a_node_mounts_its_own_key_alone(everything: list[Json]) -> None:
    key = mounted(everything, "node-trial", "supernode")["/fedwright/key"]
    assert key["secret"]["secretName"] == "federation-keys-trial"
    assert key["subPathExpr"] == "$(FEDWRIGHT_PLACE)" and key["readOnly"] is True


def test_what_runs_server_apps_holds_no_token_and_no_key(everything: list[Json]) -> None:
    found = mounted(everything, "serverapp", "superexec")
    assert found.keys() == {"/results", "/fedwright/authority", "/fedwright/serverapp"}


def test_nobody_mounts_the_authority_s_key_and_only_two_pods_the_control_token(everything: list[Json]) -> None:
    secrets = {
        (one["metadata"]["name"], volume["secret"]["secretName"])
        for one in everything
        if one["kind"] == "StatefulSet"
        for volume in one["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    }
    assert not [pair for pair in secrets if pair[1] == "federation-authority"]
    holders = {pod for pod, secret in secrets if secret == "federation-control"}
    assert holders == {"federation-superlink", "federation-serverapp"}


def test_the_program_that_gives_results_sees_them_read_only_and_is_another_user(everything: list[Json]) -> None:
    pod = of(everything, "StatefulSet", "serverapp")["spec"]["template"]["spec"]
    results = container(everything, "serverapp", "results")
    assert results["securityContext"]["runAsUser"] != pod["securityContext"]["runAsUser"]
    assert mounted(everything, "serverapp", "results")["/results"]["readOnly"] is True


# -- data and placement ---------------------------------------------------------------------------
def test_data_are_mounted_read_only_where_the_federation_says(everything: list[Json]) -> None:
    ward = mounted(everything, "node-ward-3-" + title_digest(everything), "superexec")["/data"]
    assert ward["persistentVolumeClaim"] == {"claimName": "ward-data", "readOnly": True}
    assert ward["subPathExpr"] == "$(FEDWRIGHT_PLACE)" and ward["readOnly"] is True
    disk = mounted(everything, "node-gpu", "superexec")["/mnt/rows $(HOME).npz"]
    assert disk["hostPath"] == {"path": "/mnt/rows $(HOME).npz", "type": "File"} and disk["readOnly"] is True


def title_digest(manifests: list[Json]) -> str:
    """What is added to the name of the group Ward_3, which is no name of the API's."""
    names = [one["metadata"]["name"] for one in manifests if one["kind"] == "StatefulSet"]
    (found,) = [name.removeprefix("federation-node-ward-3-") for name in names if "ward" in name]
    return found


def test_kubelet_expands_nothing_in_what_a_person_wrote(everything: list[Json]) -> None:
    (said,) = [one for one in container(everything, "node-gpu", "supernode")["args"] if one.startswith("--data=")]
    assert said == '--data={"path":"/mnt/rows $$(HOME).npz"}'


def test_a_known_task_is_cut_where_the_data_sets_are(everything: list[Json]) -> None:
    assert container(everything, "node-trial", "trial-data")["image"] == "docker.io/example/data:1"
    assert container(everything, "node-trial", "superexec")["image"] == IMAGES.flower


def test_edge_is_one_pod_a_labelled_node(everything: list[Json]) -> None:
    pod = of(everything, "StatefulSet", "node-ward-3-" + title_digest(everything))["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"fedwright.dev/placement": "edge"}
    (rule,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert rule["labelSelector"]["matchLabels"]["fedwright.dev/placement"] == "Edge"


def test_gpu_is_asked_for_what_trains(everything: list[Json]) -> None:
    assert container(everything, "node-gpu", "superexec")["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in container(everything, "node-gpu", "supernode")["resources"]["limits"]


def test_what_trains_on_a_gpu_is_told_so_and_has_an_image_for_it(everything: list[Json]) -> None:
    assert "--device=cuda" in container(everything, "node-gpu", "supernode")["args"]
    assert container(everything, "node-gpu", "superexec")["image"] == "docker.io/example/flower-cuda:1"
    others = [
        one for one in everything if one["metadata"]["name"] != "federation-node-gpu" and one["kind"] == "StatefulSet"
    ]
    assert others and "cuda" not in json.dumps(others)


def test_nodes_outside_have_no_pods_but_a_way_in_and_words(everything: list[Json]) -> None:
    assert not [one for one in everything if one["kind"] == "StatefulSet" and "partners" in one["metadata"]["name"]]
    fleet = of(everything, "Service", "fleet")["spec"]
    assert [one["targetPort"] for one in fleet["ports"]] == ["fleet"] and fleet["type"] == "NodePort"
    words = of(everything, "ConfigMap", "outside-partners")["data"]["README.txt"]
    assert "federation-keys-partners" in words and "--superlink fl.example.org:9000" in words and "$((6 + N))" in words


def test_without_nodes_outside_there_is_no_way_in(helm: Helm) -> None:
    manifests = helm.manifests("federation", of_case("trial"))
    assert [one["spec"].get("type", "ClusterIP") for one in manifests if one["kind"] == "Service"] == ["ClusterIP"] * 2


def test_numbers_of_nodes_go_on_from_group_to_group(everything: list[Json]) -> None:
    args = container(everything, "node-gpu", "supernode")["args"]
    assert "--first=5" in args and "--nodes=8" in args


# -- who reaches whom -----------------------------------------------------------------------------
def flows(manifests: list[Json]) -> Iterator[tuple[str, str, int]]:
    """What is open to the SuperLink and the results: from whom, to whom, at which port."""
    for policy in manifests:
        if policy["kind"] == "NetworkPolicy":
            whose = policy["metadata"]["name"].removeprefix("federation-")
            for rule in policy["spec"].get("ingress") or ():
                for peer in rule.get("from") or ({},):
                    labels = peer.get("podSelector", {}).get("matchLabels", {})
                    who = labels.get("app.kubernetes.io/component") or labels.get("fedwright.dev/network") or "outside"
                    yield from ((who, whose, one["port"]) for one in rule["ports"])


def test_each_reaches_its_own_api_alone(everything: list[Json]) -> None:
    assert set(flows(everything)) == {
        ("supernode", "superlink", 8000),
        ("outside", "superlink", 8000),
        ("federation", "superlink", 8001),
        ("serverapp", "superlink", 8002),
        ("federation", "serverapp", 8003),
    }


def test_all_else_is_closed_both_ways_and_the_superlink_opens_nothing(manifests: list[Json]) -> None:
    closed = of(manifests, "NetworkPolicy", "closed")["spec"]
    labels = {"app.kubernetes.io/name": "federation", "app.kubernetes.io/instance": "federation"}
    assert closed == {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress", "Egress"]}
    for spec in (one["spec"]["template"] for one in manifests if one["kind"] == "StatefulSet"):
        assert labels.items() <= spec["metadata"]["labels"].items()
    superlink = of(manifests, "NetworkPolicy", "superlink")["spec"]
    assert "Egress" in superlink["policyTypes"] and "egress" not in superlink


def test_nodes_outside_come_from_where_the_administrator_says(everything: list[Json]) -> None:
    rules = of(everything, "NetworkPolicy", "superlink")["spec"]["ingress"]
    assert {"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"protocol": "TCP", "port": 8000}]} in rules


# -- wrong values ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"imagee": "x"}, "imagee"),
        ({"image": ""}, "image"),
        ({"image": "Not An Image"}, "image"),
        ({"authority": "secret"}, "authority"),
        ({"storage": {"database": "much"}}, "storage/database"),
        ({"resources": {"superlink": {"limit": {}}}}, "resources/superlink"),
        ({"external": {"from": ["everywhere"]}}, "external/from"),
        ({"user": 0}, "user"),
        ({"groups": [{"name": "a"}]}, "groups/0"),
        ({"groups": [{**of_case("trial")["groups"][0], "name": "Not_a_name"}]}, "groups/0/name"),
        ({"groups": [{**of_case("trial")["groups"][0], "placement": "Moon"}]}, "groups/0/placement"),
        ({"groups": [{**of_case("trial")["groups"][0], "data": {"source": {}}}]}, "groups/0/data/source"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(helm: Helm, wrong: Json, field: str) -> None:
    said = helm.refused("template", "federation", CHART, values=of_case("trial") | wrong)
    assert field in said
