"""The operator's chart: what it makes of values, which values it refuses, and that nothing in it may more than it needs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from golden import same_as
from helm import CHARTS, Helm
from pod_security import containers, pods, violations

from fedwright_crds.base import canonical
from fedwright_crds.crds import generated
from fedwright_crds.profiles import load_profiles
from fedwright_crds.work import BoxKind
from fedwright_operator.cluster.config import load
from fedwright_operator.cluster.fit import Network
from fedwright_operator.cluster.names import NETWORK
from fedwright_operator.cluster.ours import OURS
from fedwright_operator.cluster.settings import BoxSettings
from fedwright_operator.cluster.watches import SELECTORS

Json = dict[str, Any]

CHART = CHARTS / "fedwright"
VALUES, SNAPSHOTS = Path(__file__).parent / "values", Path(__file__).parent / "snapshots"
CASES: dict[str, Json] = {
    "default": {"crds": {"install": False}},
    **{file.stem: yaml.safe_load(file.read_text()) for file in sorted(VALUES.glob("*.yaml"))},
}
PROFILE = {"name": "fast", "model": "openai/some-model"}
SEARCH = {"name": "web", "provider": "tavily", "key": {"environment": "SEARCH_KEY"}}
FEDERATION: Json = {
    "authority": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "groups": [
        {
            "name": "a",
            "title": "A",
            "first": 0,
            "nodes": 2,
            "placement": "Any",
            "data": {"source": {"entryPoint": "a:b"}},
        },
        {
            "name": "b",
            "title": "B",
            "first": 2,
            "nodes": 1,
            "placement": "External",
            "data": {"source": {"path": "/b"}},
        },
    ],
}
MODELS: Json = {"enabled": True, "profiles": [PROFILE]}


@pytest.fixture(params=CASES)
def manifests(helm: Helm, request: pytest.FixtureRequest) -> list[Json]:
    """Of each of the known values."""
    return helm.manifests("fedwright", CASES[request.param])


def of(manifests: list[Json], kind: str, name: str = "") -> Json:
    (found,) = [one for one in manifests if one["kind"] == kind and name in {"", one["metadata"]["name"]}]
    return found


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing_to_complain_of(helm: Helm, case: str) -> None:
    helm("lint", "--strict", CHART, values=CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_the_manifests_are_the_known_ones(helm: Helm, case: str) -> None:
    same_as(SNAPSHOTS / f"fedwright-{case}.yaml", helm.template("fedwright", CASES[case]))


# -- definitions ----------------------------------------------------------------------------------
def test_the_definitions_in_the_chart_are_those_of_the_models() -> None:
    files = {file.name: file.read_text() for file in (CHART / "files/crds").glob("*.yaml")}
    assert files == generated(), "run `python -m fedwright_crds --folder charts/fedwright/files/crds`"


def test_definitions_are_upgraded_as_they_are_and_kept_when_the_chart_goes(helm: Helm) -> None:
    rendered = [one for one in helm.manifests("fedwright") if one["kind"] == "CustomResourceDefinition"]
    for one in rendered:
        assert one["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    known = [yaml.safe_load(text) for text in generated().values()]
    assert sorted(map(canonical, rendered)) == sorted(map(canonical, known))


def test_definitions_can_be_left_to_another_release(manifests: list[Json]) -> None:
    assert "CustomResourceDefinition" not in {one["kind"] for one in manifests}


# -- values ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replica": 3}, "additional properties 'replica' not allowed"),
        ({"images": {"operator": {"digset": ""}}}, "at '/images/operator': additional properties 'digset'"),
        ({"images": {"bench": {"digest": "sha256:1234"}}}, "/images/bench/digest"),
        ({"images": {"mind": {"repository": "Has Spaces"}}}, "/images/mind/repository"),
        ({"images": {"referBy": "Luck"}}, "/images/referBy"),
        ({"replicas": 0}, "/replicas"),
        ({"watchNamespaces": "lab"}, "/watchNamespaces"),
        ({"watchNamespaces": ["Lab_1"]}, "/watchNamespaces/0"),
        ({"watchNamespaces": ["lab", "lab"]}, "/watchNamespaces"),
        ({"pullPolicy": "Sometimes"}, "/pullPolicy"),
        ({"log": {"level": "loud"}}, "/log/level"),
        ({"boxes": {"requests": {"memory": "1 GB"}}}, "/boxes/requests/memory"),
        ({"boxes": {"memoryShare": 0}}, "/boxes/memoryShare"),
        ({"boxes": {"probes": ["nowhere"]}}, "/boxes/probes/0"),
        ({"boxes": {"privileged": True}}, "at '/boxes': additional properties 'privileged'"),
        ({"artifacts": {"url": "s3://key:secret@host/bucket"}}, "/artifacts/url"),
        ({"artifacts": {"url": "az://container?sig=secret"}}, "/artifacts/url"),
        ({"models": {"enabled": True}}, "/models/profiles"),
        ({"models": {"profiles": [{**PROFILE, "key": "sk-123"}]}}, "/models/profiles/0/key"),
        ({"models": {"profiles": [{"name": "fast"}]}}, "missing property 'model'"),
        (
            {"models": {"enabled": True, "profiles": [{**PROFILE, "key": {"environment": "SOME_KEY"}}]}},
            "models.keysSecret is empty, and profile fast has its key in the variable SOME_KEY; name a Secret",
        ),
        (
            {"models": {"enabled": True, "profiles": [PROFILE], "search": [SEARCH]}},
            "models.keysSecret is empty, and search profile web has its key in the variable SEARCH_KEY; name a Secret",
        ),
        ({"models": {"search": [{**SEARCH, "key": "tvly-123"}]}}, "/models/search/0/key"),
        ({"models": {"search": [{"name": "web"}]}}, "at '/models/search/0': 'oneOf' failed"),
        (
            {"models": {"search": [{"name": "web", "endpoint": {"url": "http://key@host"}}]}},
            "/models/search/0/endpoint/url",
        ),
        ({"networkPolicies": {"apiServer": {"cidrs": ["everywhere"]}}}, "/networkPolicies/apiServer/cidrs/0"),
        ({"podDisruptionBudget": {"maxUnavailable": "half"}}, "/podDisruptionBudget/maxUnavailable"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(helm: Helm, values: Json, said: str) -> None:
    assert said in helm.refused("template", "fedwright", CHART, values=values)


def test_every_value_is_in_the_readme() -> None:
    table = set(re.findall(r"^\| `([\w.]+)`", (CHART / "README.md").read_text(), re.MULTILINE))
    assert table == set(_paths(yaml.safe_load((CHART / "values.yaml").read_text())))


def _paths(values: Json, above: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value and name not in {"requests", "limits", "namespaceLabels", "podLabels"}:
            yield from _paths(value, f"{above}{name}.")
        else:
            yield above + name


def test_an_image_is_named_by_its_digest_unless_nodes_know_the_tag_alone(helm: Helm) -> None:
    digest = "sha256:" + "7" * 64
    image = {"repository": "here/operator", "tag": "dev", "digest": digest}
    for refer_by, name in (("Digest", f"here/operator@{digest}"), ("Tag", "here/operator:dev")):
        rendered = helm.manifests("fedwright", {"images": {"operator": image, "referBy": refer_by}})
        (operator,) = containers(of(rendered, "Deployment")["spec"]["template"]["spec"])
        assert operator["image"] == name


# -- what the operator reads ----------------------------------------------------------------------
def configuration(manifests: list[Json], name: str = "fedwright") -> Json:
    read: Json = yaml.safe_load(of(manifests, "ConfigMap", name)["data"]["config.yaml"])
    return read


@pytest.mark.parametrize("case", CASES)
def test_the_operator_reads_its_configuration_as_it_was_given(helm: Helm, tmp_path: Path, case: str) -> None:
    rendered = helm.manifests("fedwright", CASES[case])
    file = tmp_path / "config.yaml"
    name = of(rendered, "Deployment")["metadata"]["name"]
    file.write_text(of(rendered, "ConfigMap", name)["data"][file.name])
    config = load(file)
    assert (config.ports.health, config.ports.metrics, config.lease) == (8080, 9090, name)
    assert list(config.namespaces) == CASES[case].get("watchNamespaces", [])
    assert set(config.boxes.images) == set(BoxKind)
    assert (config.models is None) == (config.boxes.networks.gateway is None) == (case != "everything")


def test_default_boxes_are_those_of_the_settings(helm: Helm) -> None:
    said = BoxSettings.model_validate_json(canonical(configuration(helm.manifests("fedwright"))["boxes"]))
    assert said == BoxSettings(images=said.images)


def test_the_gateway_reads_the_profiles_as_they_were_given(helm: Helm, tmp_path: Path) -> None:
    file = tmp_path / "profiles.yaml"
    file.write_text(of(helm.manifests("fedwright", CASES["everything"]), "ConfigMap", "fw-gateway")["data"][file.name])
    profiles = load_profiles(file)
    fast, own = profiles.profiles
    assert (fast.context_tokens, fast.fallbacks, own.key) == (1_000_000, ("own",), None)
    web, server = profiles.search
    assert (web.provider, web.most_searches, web.price_usd) == ("tavily", 4, 0.008)
    assert server.endpoint is not None and server.endpoint.parameters == {"format": "json"}


def test_a_changed_search_starts_the_gateway_anew(helm: Helm) -> None:
    def annotations(models: Json) -> Json:
        rendered = helm.manifests("fedwright", {"models": {**CASES["everything"]["models"], **models}})
        found: Json = of(rendered, "StatefulSet")["spec"]["template"]["metadata"]["annotations"]
        return found

    assert annotations({"search": []}) != annotations({}) == annotations({"egressPorts": [1]})


def test_a_changed_configuration_starts_the_operator_anew(helm: Helm) -> None:
    def template(values: Json) -> Json:
        found: Json = of(helm.manifests("fedwright", values), "Deployment")["spec"]["template"]
        return found

    assert template({"boxes": {"ttlSeconds": 61}}) != template({}) == template({"metrics": {}})


# -- rights ---------------------------------------------------------------------------------------
def roles(manifests: list[Json]) -> list[Json]:
    return [one for one in manifests if one["kind"] in {"Role", "ClusterRole"}]


def rules_of_the_operator(manifests: list[Json]) -> list[Json]:
    return [rule for role in roles(manifests) if not _for_people(role) for rule in role["rules"]]


def _for_people(role: Json) -> bool:
    return bool(role["metadata"]["labels"]["app.kubernetes.io/component"] == "users")


def allowed(rules: list[Json]) -> set[tuple[str, str, str]]:
    """Triples of group, resource and verb."""
    return {(g, r, v) for rule in rules for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]}


def test_no_rule_holds_a_wildcard(manifests: list[Json]) -> None:
    for role in roles(manifests):
        for rule in role["rules"]:
            assert rule.keys() <= {"apiGroups", "resources", "resourceNames", "verbs"}
            assert not any("*" in word for words in rule.values() for word in words), role["metadata"]["name"]


def test_every_rule_of_the_operator_says_why(helm: Helm) -> None:
    lines = (CHART / "templates/_rules.tpl").read_text().splitlines()
    bare = [
        number for number, line in enumerate(lines) if line.startswith("- apiGroups") and lines[number - 1][:1] != "#"
    ]
    assert not bare


def test_the_operator_has_no_way_to_more_rights_nor_to_what_is_not_its_own(manifests: list[Json]) -> None:
    may = allowed(rules_of_the_operator(manifests))
    assert not {verb for _, _, verb in may} & {"escalate", "bind", "impersonate", "deletecollection", "approve"}
    assert not {(resource, verb) for _, resource, verb in may if resource == "secrets"} & {
        ("secrets", "list"),
        ("secrets", "watch"),
    }
    assert not {group for group, _, _ in may} & {"rbac.authorization.k8s.io", "admissionregistration.k8s.io"}
    assert not {resource for _, resource, _ in may} & {
        "nodes",
        "namespaces",
        "pods/exec",
        "pods/attach",
        "pods/portforward",
    }
    assert not {verb for _, resource, verb in may if resource == "flstrategyrequests"} & {
        "create",
        "update",
        "patch",
        "delete",
    }


def test_the_operator_may_make_and_remove_all_that_a_federation_is_made_of_and_no_other_kind(helm: Helm) -> None:
    kinds = {one["kind"] for one in helm.manifests("federation", FEDERATION)}
    may = allowed(rules_of_the_operator(helm.manifests("fedwright")))
    for kind in kinds:
        plural = "networkpolicies" if kind == "NetworkPolicy" else f"{kind.lower()}s"
        assert {"get", "create", "patch", "delete"} <= {verb for _, resource, verb in may if resource == plural}, kind
    assert kinds >= {"StatefulSet", "Service"}, "else the operator has rights that nothing needs"
    (operator,) = containers(of(helm.manifests("fedwright"), "Deployment")["spec"]["template"]["spec"])
    assert {"name": "HELM_DRIVER", "value": "configmap"} in operator["env"], "Helm would list all Secrets"


def test_the_operator_may_watch_what_it_watches(manifests: list[Json]) -> None:
    may = {(resource, verb) for _, resource, verb in allowed(rules_of_the_operator(manifests))}
    for kind in (*SELECTORS, *OURS.values()):
        assert {(kind.plural, "list"), (kind.plural, "watch")} <= may


def test_in_named_namespaces_the_operator_has_no_right_of_the_whole_cluster(helm: Helm) -> None:
    rendered = helm.manifests("fedwright", CASES["everything"])
    assert all(_for_people(role) for role in roles(rendered) if role["kind"] == "ClusterRole")
    bound = {one["metadata"].get("namespace") for one in rendered if one["kind"] == "RoleBinding"}
    assert bound == {"lab", "ward", None}
    assert "ClusterRoleBinding" not in {one["kind"] for one in rendered}
    assert configuration(rendered, "fw")["namespaces"] == ["lab", "ward"]


def test_approving_is_part_of_no_other_role(helm: Helm) -> None:
    people = {one["metadata"]["name"]: one for one in roles(helm.manifests("fedwright")) if _for_people(one)}
    assert set(people) == {"fedwright-view", "fedwright-edit", "fedwright-approve"}
    aggregated = {
        name: {label.rsplit("-", 1)[1] for label in role["metadata"]["labels"] if "aggregate-to" in label}
        for name, role in people.items()
    }
    assert aggregated == {
        "fedwright-view": {"view", "edit", "admin"},
        "fedwright-edit": {"edit", "admin"},
        "fedwright-approve": set(),
    }
    edit = allowed(people["fedwright-edit"]["rules"])
    assert ("fedwright.dev", "fldeployments", "create") not in edit, "it would be a promotion without an approval"
    assert not {resource for _, resource, _ in edit} & {"candidates", "flstrategyrequests/status"}
    assert ("fedwright.dev", "flstrategyrequests", "approve") in allowed(people["fedwright-approve"]["rules"])


# -- pods -----------------------------------------------------------------------------------------
def test_every_pod_is_restricted_and_every_container_is_probed_and_limited(manifests: list[Json]) -> None:
    found = list(pods(manifests))
    assert found
    for pod in found:
        assert violations(pod) == []
        assert pod["enableServiceLinks"] is False
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container.keys() >= {"livenessProbe", "readinessProbe", "startupProbe"}
            assert "memory" in container["resources"]["limits"]


def test_only_the_operator_has_a_token_and_only_the_gateway_has_keys(helm: Helm) -> None:
    rendered = helm.manifests("fedwright", CASES["everything"])
    operator = of(rendered, "Deployment")["spec"]["template"]["spec"]
    gateway = of(rendered, "StatefulSet")["spec"]["template"]["spec"]
    assert (operator["automountServiceAccountToken"], gateway["automountServiceAccountToken"]) == (True, False)
    assert of(rendered, "ServiceAccount")["automountServiceAccountToken"] is False
    assert "model-keys" in str(gateway) and "model-keys" not in str(operator)
    assert "objects" in str(operator) and "objects" not in str(gateway)


def test_no_one_reaches_the_gateway_but_minds_and_the_operator(helm: Helm) -> None:
    policy = of(helm.manifests("fedwright", CASES["everything"]), "NetworkPolicy", "fw-gateway")["spec"]
    (rule,) = policy["ingress"]
    operator, minds = rule["from"]
    assert minds == {"namespaceSelector": {}, "podSelector": {"matchLabels": {NETWORK: Network.MODEL.value}}}
    assert operator["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "operator"


def test_labels_of_people_hide_none_of_the_charts_own(manifests: list[Json]) -> None:
    for one in manifests:
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "fedwright"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"


def test_a_made_secret_of_allowances_cannot_be_guessed_and_none_is_made_beside_a_given_one(helm: Helm) -> None:
    made = [of(helm.manifests("fedwright", {"models": MODELS}), "Secret")["data"]["secret"] for _ in range(2)]
    assert made[0] != made[1] and all(len(one) >= 64 for one in made)
    assert "Secret" not in {one["kind"] for one in helm.manifests("fedwright", CASES["everything"])}


# -- policies of admission ------------------------------------------------------------------------
def test_approvals_are_guarded_closed_in_every_namespace_that_is_served(helm: Helm) -> None:
    rendered = helm.manifests("fedwright")
    policy, binding = of(rendered, "ValidatingAdmissionPolicy"), of(rendered, "ValidatingAdmissionPolicyBinding")
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert binding["spec"] == {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}
    named = of(helm.manifests("fedwright", CASES["everything"]), "ValidatingAdmissionPolicyBinding")["spec"]
    (expression,) = named["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert expression["values"] == ["lab", "ward"]
