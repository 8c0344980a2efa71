"""Federations as processes: one supervisor each, up while it is wanted, started again when it dies."""

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedwright_crds.federation import Federation
from fedwright_operator.local.child import Child
from fedwright_operator.local.files import write_whole
from fedwright_operator.local.home import Home
from fedwright_operator.reconcile.api import ReleaseStatus

FLEET = "fedwright_federation.flower.fleet"
GRACE_SECONDS = 3.0
LONGEST_PAUSE_SECONDS = 30.0


@dataclass
class Fleet:
    """A supervisor that runs, or will again after a pause."""

    folder: Path
    spec: bytes
    child: Child | None = None
    deaths: int = 0
    start_after: float = 0.0


class Releases:
    """The federations' processes of one home."""

    def __init__(self, home: Home, code: Sequence[Path] = (), program: str = FLEET) -> None:
        """`code`: folders of modules from which nodes may load their data."""
        self._home, self._code, self._program = home, code, program
        self._fleets: dict[str, Fleet] = {}

    def want(self, federations: Sequence[Federation]) -> None:
        """Make it so: start what is missing or was changed, stop what is not in the list."""
        wanted = {one.metadata.uid or "": one for one in federations}
        stale = [uid for uid, fleet in self._fleets.items() if uid not in wanted or fleet.spec != _spec(wanted[uid])]
        self._end(stale)
        for uid, federation in wanted.items():
            fleet = self._fleets.setdefault(uid, self._fleet(federation))
            self._keep_up(fleet)

    def statuses(self) -> Mapping[str, ReleaseStatus]:
        return {uid: _status(fleet) for uid, fleet in self._fleets.items()}

    def stop(self) -> None:
        self._end(list(self._fleets))

    def _fleet(self, federation: Federation) -> Fleet:
        meta = federation.metadata
        return Fleet(self._home.federation(meta.namespace, meta.name).absolute(), _spec(federation))

    def _end(self, uids: Sequence[str]) -> None:
        """All at once, so that many take no longer than one."""
        children = [fleet.child for uid in uids if (fleet := self._fleets.pop(uid)).child]
        for child in children:
            if child:
                child.ask_to_end()
        for child in children:
            if child:
                child.end(GRACE_SECONDS + 2)

    def _keep_up(self, fleet: Fleet) -> None:
        if fleet.child and fleet.child.wait(0) is not None:
            fleet.child = None
            fleet.deaths += 1
            fleet.start_after = time.monotonic() + min(2.0**fleet.deaths, LONGEST_PAUSE_SECONDS)
        if fleet.child is None and time.monotonic() >= fleet.start_after:
            fleet.child = self._start(fleet)

    def _start(self, fleet: Fleet) -> Child:
        fleet.folder.mkdir(parents=True, exist_ok=True)
        (fleet.folder / "status.json").unlink(missing_ok=True)
        spec = fleet.folder / "spec.json"
        write_whole(spec, fleet.spec)
        log = fleet.folder / "fleet.log"
        return Child(
            (self._program, "--home", str(fleet.folder), "--spec", str(spec)),
            cwd=fleet.folder,
            environment={
                "HOME": str(fleet.folder),
                "PYTHONPATH": os.pathsep.join(map(str, self._code)),
            },
            grace_seconds=GRACE_SECONDS,
            on_line=lambda line: _log(log, line),
        )


def _log(path: Path, line: str) -> None:
    with contextlib.suppress(OSError), path.open("a") as file:
        file.write(line + "\n")


def _spec(federation: Federation) -> bytes:
    return json.dumps(federation.spec.to_wire()).encode()


def _status(fleet: Fleet) -> ReleaseStatus:
    """What the supervisor last said of itself; not ready while it says nothing."""
    seen = {}
    with contextlib.suppress(OSError, ValueError):
        seen = json.loads((fleet.folder / "status.json").read_text())
    message = str(seen.get("message", ""))
    if fleet.child is None and fleet.deaths:
        seen, message = {}, f"its supervisor ended {fleet.deaths} times; see {fleet.folder / 'fleet.log'}"
    return ReleaseStatus(
        ready=bool(seen.get("ready", False)),
        nodes_connected=int(seen.get("nodes_connected", 0)),
        address=str(seen.get("address", "")),
        certificate_expires_at=str(seen.get("certificate_expires_at", "")),
        message=message,
    )
