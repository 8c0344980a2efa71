"""A federation's private things, Secret by Secret: what is there stays, what is missing or nearly over is made.

Pure but for random numbers: it takes what was found and answers what should be. A node's key belongs to its group and place
for as long as the place exists. A place that goes takes its key along, and one that comes again later gets another: so a node
that was taken away never comes back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fedwright_crds import certificates
from fedwright_crds.base import digest_of
from fedwright_crds.certificates import Pair

Vault = Mapping[str, Mapping[str, bytes]]
"""Secrets by what follows the release in their names; each has values by key."""

AUTHORITY = "authority"
"""No pod mounts it: its key would make any server trusted."""
TLS = "tls"
"""For the SuperLink, and for the program that gives results."""
CONTROL = "control"
"""For whoever submits runs: what a Platform box gets whole. The SuperLink gets the token of it."""
SERVER_APPS = "serverapp"
"""Shared by the SuperLink and the executor of its ServerApps."""
FIXED = (AUTHORITY, TLS, CONTROL, SERVER_APPS)
_KEYS = "keys-"
_GROUPS = "groups"


@dataclass(frozen=True)
class Needs:
    """What a federation needs of them."""

    names: tuple[str, ...]
    """Host names and addresses under which the server is reached."""
    groups: Mapping[str, int]
    """How many nodes, by group."""
    days: int
    """Of the server's certificate."""
    reach: bytes
    """A FleetReach, JSON."""


def keys_of(group: str) -> str:
    """The Secret of a group's private keys, by place."""
    return _KEYS + group


def settled(found: Vault, needs: Needs, now: datetime) -> dict[str, dict[str, bytes]]:
    """All Secrets as they should be. Raises ValueError where one holds what cannot be read."""
    authority = _authority(found.get(AUTHORITY, {}), needs, now)
    token = found.get(CONTROL, {}).get("token") or certificates.new_secret().encode()
    secret = found.get(SERVER_APPS, {}).get("secret") or certificates.new_secret().encode()
    groups = ",".join(sorted(needs.groups)).encode()
    return {
        AUTHORITY: {"ca.key": authority.key, "ca.crt": authority.certificate, _GROUPS: groups},
        TLS: _server(found.get(TLS, {}), authority, needs, now),
        CONTROL: {"token": token, "ca.crt": authority.certificate, "reach.json": needs.reach},
        SERVER_APPS: {"secret": secret},
        **{keys_of(group): _keys(found.get(keys_of(group), {}), nodes) for group, nodes in needs.groups.items()},
    }


def groups_in(vault: Vault) -> frozenset[str]:
    """The groups that there are keys of, by the word of the last time."""
    said = vault.get(AUTHORITY, {}).get(_GROUPS, b"").decode(errors="replace")
    return frozenset(filter(None, said.split(",")))


def public_keys(vault: Vault) -> dict[str, bytes]:
    """What the SuperLink is to know: `<group>.<place>` -> PEM."""
    return {
        f"{name.removeprefix(_KEYS)}.{place}": certificates.public_key_of(key)
        for name, keys in vault.items()
        if name.startswith(_KEYS)
        for place, key in keys.items()
    }


def checksums(vault: Vault) -> dict[str, str]:
    """They change when pods must start anew to read what is new."""
    read_at_start = [vault[TLS]["tls.crt"], vault[SERVER_APPS]["secret"], vault[CONTROL]["token"]]
    return {
        "server": digest_of(b"\n".join(read_at_start))[7:23],
        "authority": digest_of(vault[AUTHORITY]["ca.crt"])[7:23],
    }


def _authority(found: Mapping[str, bytes], needs: Needs, now: datetime) -> Pair:
    key, certificate = found.get("ca.key"), found.get("ca.crt")
    if key and certificate and not certificates.is_due(certificate, now):
        return Pair(key, certificate)
    return certificates.new_authority(needs.days, now, key)


def _server(found: Mapping[str, bytes], authority: Pair, needs: Needs, now: datetime) -> dict[str, bytes]:
    key, certificate = found.get("tls.key"), found.get("tls.crt")
    good = (
        key
        and certificate
        and found.get("ca.crt") == authority.certificate
        and certificates.names_of(certificate) == set(needs.names)
        and not certificates.is_due(certificate, now)
    )
    pair = Pair(key, certificate) if good and key and certificate else None
    pair = pair or certificates.new_server(authority, needs.names, needs.days, now)
    return {"tls.key": pair.key, "tls.crt": pair.certificate, "ca.crt": authority.certificate}


def _keys(found: Mapping[str, bytes], nodes: int) -> dict[str, bytes]:
    return {str(place): found.get(str(place)) or certificates.new_node_key() for place in range(nodes)}
