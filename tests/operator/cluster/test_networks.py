"""What a namespace's policies let through, asked as the cluster asks: which policies select a pod, and what they add up to."""

from typing import Any

from some_works import a_deployment, a_judging, a_mind

from fedwright_crds.work import BoxKind, Work
from fedwright_operator.cluster import names
from fedwright_operator.cluster.jobs import Given, Whose, manifests
from fedwright_operator.cluster.networks import policies
from fedwright_operator.cluster.settings import BoxSettings, Gateway, Image, Networks

NETWORKS = Networks(
    gateway=Gateway(
        namespace_labels={"kubernetes.io/metadata.name": "fedwright"}, pod_labels={"component": "gateway"}, port=8000
    )
)
DNS = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}} | {
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}
}


def labels_of(work: Work) -> dict[str, str]:
    images = {kind: Image(repository="box", digest=digest) for kind, digest in work.images.items()}
    asks = {"gateway.json": b"{}"} if work.steps[0].box is BoxKind.MIND and "fast" in work.steps[0].program else {}
    pieces = {one.digest: ("a",) for one in work.inputs}
    whose = Whose("default", "u-1", {"uid": "u-1"})
    template = manifests(work, whose, Given(pieces, asks), BoxSettings(images=images)).job["spec"]["template"]
    labels: dict[str, str] = template["metadata"]["labels"]
    return labels


def ways_out(work: Work) -> list[tuple[dict[str, Any], int]]:
    """Peers and ports to which the work's pod may open a connection; both ways must be closed by default."""
    labels = labels_of(work)
    found = [
        one["spec"]
        for one in policies("default", NETWORKS)
        if one["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    ]
    assert {"Ingress", "Egress"} <= {kind for one in found for kind in one["policyTypes"]}
    assert not any(one.get("ingress") for one in found)
    return [
        (peer, port["port"])
        for one in found
        for rule in one.get("egress", ())
        for peer in rule["to"]
        for port in rule["ports"]
    ]


def test_generated_code_and_judges_reach_nothing_and_nothing_reaches_them() -> None:
    assert ways_out(a_judging()) == []


def test_a_mind_of_the_catalogue_reaches_nothing() -> None:
    assert ways_out(a_mind("catalogue")) == []


def test_a_mind_behind_a_model_reaches_dns_and_the_gateway() -> None:
    gateway = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "fedwright"}},
        "podSelector": {"matchLabels": {"component": "gateway"}},
    }
    assert ways_out(a_mind("fast")) == [(DNS, 53), (DNS, 53), (gateway, 8000)]


def test_a_platform_box_reaches_nothing_until_its_federation_opens_a_way_for_its_label() -> None:
    assert ways_out(a_deployment("hospital")) == []
    labels = labels_of(a_deployment("hospital"))
    assert (labels[names.NETWORK], labels[names.FEDERATION]) == ("federation", "hospital")


def test_federations_whose_names_are_too_long_for_a_label_are_told_apart() -> None:
    one, other = (labels_of(a_deployment("h" * 190 + end))[names.FEDERATION] for end in (".a", ".b"))
    assert one != other and len(one) <= 63


def test_without_a_gateway_no_way_to_one_is_opened() -> None:
    assert [one["metadata"]["name"] for one in policies("default", Networks())] == ["fedwright-boxes"]


def test_a_dns_cache_on_the_nodes_may_be_named_by_its_address() -> None:
    cached = NETWORKS.model_copy(update={"dns_cidrs": ("169.254.20.10/32",)})
    (_, model) = policies("default", cached)
    assert {"ipBlock": {"cidr": "169.254.20.10/32"}} in model["spec"]["egress"][0]["to"]
