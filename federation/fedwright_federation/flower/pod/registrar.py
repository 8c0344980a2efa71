"""The program beside the SuperLink that makes the nodes' keys known to it, and says who is connected.

It holds the Control token and the nodes' public keys, one file each in a folder that whoever owns the federation replaces. A
key that is new there is registered; one that is gone is struck off, so a node that was taken away cannot come back. What it
sees is a line of JSON on its output (`FleetSeen`), at each change and every few seconds: whoever reads the last line of the last
half minute knows how the federation stands, and needs no way to it through the network.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from fedwright_crds.federation import FleetSeen
from fedwright_federation.flower.control import Control
from fedwright_federation.flower.supervision import every

TICK_SECONDS = 0.5
CALM_SECONDS = 5.0
"""How often the SuperLink is asked while all are there, and how often something is said."""
LOOKING_SECONDS = 5.0
"""How long it may take to answer."""
LONGEST_MESSAGE = 500


class Registrar:
    """Keeps the SuperLink's list of nodes equal to the folder of keys."""

    def __init__(self, connect: Callable[[], Control], keys: Path) -> None:
        self._connect, self._keys = connect, keys
        self._complete = False

    def look(self) -> FleetSeen:
        """Once: who is there, after the lists were made equal."""
        wanted = self._wanted()
        try:
            with self._connect() as control:
                connected = _settle(control, wanted)
        except httpx.HTTPError as problem:
            return self._seen(wanted, 0, f"the SuperLink does not answer: {problem}")
        self._complete = self._complete or connected == len(wanted)
        return self._seen(wanted, connected, "")

    def _seen(self, wanted: dict[bytes, str], connected: int, message: str) -> FleetSeen:
        return FleetSeen(
            wanted=len(wanted), connected=connected, complete=self._complete, message=message[:LONGEST_MESSAGE]
        )

    def _wanted(self) -> dict[bytes, str]:
        """Names by public key. Entries that begin with a dot are how the folder is replaced as a whole."""
        files = [path for path in self._keys.iterdir() if not path.name.startswith(".")]
        return {path.read_bytes(): path.name for path in sorted(files)}


def _settle(control: Control, wanted: dict[bytes, str]) -> int:
    """Register who is missing, strike off who is not wanted; how many of the wanted are online.

    Where nobody is wanted nobody is struck off: that is a folder not filled yet, and a key struck off is lost for ever.
    """
    known = {node.public_key: node for node in control.nodes() if node.status != "unregistered"}
    for key, name in wanted.items():
        if key not in known:
            control.register(key, name)
    for key, node in known.items():
        if wanted and key not in wanted:
            control.strike_off(node.id)
    return sum(node.status == "online" for key, node in known.items() if key in wanted)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--control", required=True, help="host and port of the Control API")
    parser.add_argument("--root-certificates", type=Path, required=True)
    parser.add_argument("--control-token-file", type=Path, required=True)
    parser.add_argument("--nodes", type=Path, required=True, help="a folder of public keys (PEM), one file a node")
    parser.add_argument("--alive", type=Path, required=True, help="a file that is touched at each look")
    given = parser.parse_args(argv)

    def connect() -> Control:
        token = given.control_token_file.read_text().strip()
        return Control(given.control, given.root_certificates.read_bytes(), token, LOOKING_SECONDS)

    stops: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stops.append(number))
    _keep_looking(Registrar(connect, given.nodes), given.alive, lambda: bool(stops))
    return 0


def _keep_looking(registrar: Registrar, alive: Path, stopping: Callable[[], bool]) -> None:
    calm, said = every(CALM_SECONDS), None
    while not stopping():
        due = next(calm)
        if due or said is None or said.connected < said.wanted:
            seen = registrar.look()
            alive.touch()
            if due or seen != said:
                print(json.dumps(seen.to_wire()), flush=True)
            said = seen
        time.sleep(TICK_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
