"""What boxes may reach, as NetworkPolicies of a namespace: nothing, unless one of these says otherwise.

Pure. Policies add up: the first closes every box, both ways; the other opens one way for minds behind a model. The way of a
Platform box to its federation is opened by that federation's chart, to the pods with its label.
"""

from typing import Any

from fedwright_operator.cluster import names
from fedwright_operator.cluster.fit import Network
from fedwright_operator.cluster.labels import managed
from fedwright_operator.cluster.settings import Networks, Peer

Json = dict[str, Any]

_DNS_PORT = 53
_CLOSED = "fedwright-boxes"
_MODEL = "fedwright-boxes-model"


def policies(namespace: str, networks: Networks) -> tuple[Json, ...]:
    """Of a namespace with requests, to be applied before the first Job."""
    closed = _policy(namespace, _CLOSED, {}, ["Ingress", "Egress"])
    if networks.gateway is None:
        return (closed,)
    gateway = {"to": [_peer(networks.gateway)], "ports": [_tcp(networks.gateway.port)]}
    asking = {names.NETWORK: Network.MODEL.value}
    return closed, _policy(namespace, _MODEL, asking, ["Egress"], egress=[_dns(networks), gateway])


def _policy(namespace: str, name: str, labels: Json, types: list[str], **rules: list[Json]) -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": managed()},
        "spec": {"podSelector": {"matchLabels": managed(names.BOX, **labels)}, "policyTypes": types, **rules},
    }


def _dns(networks: Networks) -> Json:
    caches = [{"ipBlock": {"cidr": cidr}} for cidr in networks.dns_cidrs]
    ports = [{"protocol": protocol, "port": _DNS_PORT} for protocol in ("UDP", "TCP")]
    return {"to": [_peer(networks.dns), *caches], "ports": ports}


def _peer(peer: Peer) -> Json:
    pods = {"podSelector": {"matchLabels": peer.pod_labels}}
    return {"namespaceSelector": {"matchLabels": peer.namespace_labels}, **pods} if peer.namespace_labels else pods


def _tcp(port: int) -> Json:
    return {"protocol": "TCP", "port": port}
