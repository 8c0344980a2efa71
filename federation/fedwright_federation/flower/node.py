"""`flower-supernode` that looks for messages often, and that may come back at once after it was killed.

Three things differ from the stock SuperNode. It naps shortly (see haste.py). Its answers stay in step with what it is
asked, also when a run ends half-way (see turns.py). And where a SuperLink refuses a node whose former life it still believes
in, up to a minute after a SIGKILL, this one signs that life off with its own key before it connects, which also ends the wait
of whoever sent it a message. Run as a program it takes `flower-supernode`'s flags and `--node-id-file`.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from flwr.proto.fleet_pb2 import DeactivateNodeRequest
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supernode.cli import flower_supernode
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from fedwright_federation.flower.certificates import load_node_key
from fedwright_federation.flower.haste import hasten_node, hasten_objects
from fedwright_federation.flower.turns import keep_turns

AGAIN_SECONDS = 0.25
AWAY_SECONDS = 30.0
"""How long a SuperLink that does not answer is waited for before the stock SuperNode's own retries take over."""


@dataclass(frozen=True)
class Link:
    """How a node reaches its SuperLink and proves who it is."""

    address: str
    authority: Path
    key: Path


def sign_off(link: Link, node_id: int) -> bool:
    """End this node's former life at the SuperLink, if it has one; whether it had."""
    key = load_node_key(link.key)
    client = FleetHttpClient.from_server_address(
        link.address,
        False,
        link.authority.read_bytes(),
        interceptors=[
            RuntimeVersionHttpInterceptor(component_name="SuperNode"),
            NodeAuthHttpInterceptor(key, key.public_key()),
        ],
    )
    until = time.monotonic() + AWAY_SECONDS
    with client:
        while time.monotonic() < until:
            try:
                client.DeactivateNode(DeactivateNodeRequest(node_id=node_id))
                return True
            except httpx.HTTPStatusError:
                return False
            except httpx.TransportError:
                time.sleep(AGAIN_SECONDS)
    return False


def serve(flags: Sequence[str], link: Link, node_id: int | None) -> None:
    """Be the SuperNode, with `flower-supernode`'s other flags."""
    if node_id is not None:
        sign_off(link, node_id)
    hasten_objects()
    hasten_node()
    keep_turns()
    sys.argv = [
        "flower-supernode",
        *flags,
        *("--superlink", link.address),
        *("--root-certificates", str(link.authority)),
        *("--auth-supernode-private-key", str(link.key)),
    ]
    flower_supernode()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--superlink", required=True)
    parser.add_argument("--root-certificates", type=Path, required=True)
    parser.add_argument("--auth-supernode-private-key", type=Path, required=True)
    parser.add_argument("--node-id-file", type=Path, help="where it exists, the id to sign off first")
    own, flags = parser.parse_known_args(argv)
    node_id = None
    if own.node_id_file:
        with suppress(FileNotFoundError):
            node_id = int(own.node_id_file.read_text())
    serve(flags, Link(own.superlink, own.root_certificates, own.auth_supernode_private_key), node_id)
    return 0


if __name__ == "__main__":
    sys.exit(main())
