"""One federation on this machine: a SuperLink, the executor of its ServerApps, and SuperNodes with executors of their own.

This process imports what they all need and forks them, so that together they take little more memory than one. It holds
the SuperLink's listening sockets: while a killed SuperLink starts again, callers wait instead of being refused. It keeps
no state but the files below the home, so it may be killed and started again at any moment.
"""

import importlib
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx

from fedwright_crds.federation import FederationPhase, FederationSpec
from fedwright_federation.flower.certificates import ensure_certificates, ensure_node_key, ensure_secret, expires_at
from fedwright_federation.flower.control import Control
from fedwright_federation.flower.crew import HOST, PRELOADED, Crew
from fedwright_federation.flower.home import Home
from fedwright_federation.flower.node_data import make_trial_data, settings
from fedwright_federation.flower.processes import spawn
from fedwright_federation.flower.status import Status
from fedwright_federation.flower.superlink import Doors
from fedwright_federation.flower.supervision import Attendance, Unit, every
from fedwright_federation.packaging.files import write_whole

NAMES = ("localhost", HOST, "::1")
TICK_SECONDS = 0.1
LOOK_SECONDS = 0.5
"""How often the SuperLink is asked for its nodes while some are missing."""
CALM_LOOK_SECONDS = 5.0
LOOKING_SECONDS = 2.0
"""How long it may take to answer: what is killed meanwhile is started again only afterwards."""
MISSED_SECONDS = 90.0
"""A node that the SuperLink does not see for so long starts anew: its heartbeat stops for good at one answer of 500."""
CERTIFICATE_CHECK_SECONDS = 3600.0


class FleetError(Exception):
    """The federation cannot be brought up as it is asked for."""


def require_sound(database: Path) -> None:
    """Raises FleetError where a SuperLink could not open its database, or would trip over it later."""
    if not database.exists():
        return
    try:
        with closing(sqlite3.connect(database)) as connection:
            ((found,),) = connection.execute("PRAGMA quick_check(1)")
    except sqlite3.DatabaseError as problem:
        found = str(problem)
    if found != "ok":
        raise FleetError(
            f"{database} is damaged: {found}; move it away: the federation starts with a new one, and jobs go on from their "
            "checkpoints"
        )


class Supervisor:
    """Brings a federation up and keeps it up, in one thread."""

    def __init__(self, home: Home, spec: FederationSpec) -> None:
        self._home, self._days = home, spec.certificate_days
        self._certify()
        ensure_secret(home.executor_secret)
        ensure_secret(home.control_token)
        require_sound(home.database)
        self._settings = settings(home, spec)
        self._prepare()
        self._doors = Doors.open(HOST)
        self._fleet, self._control, _ = self._doors.addresses
        self._crew = Crew(home, self._doors)
        self._superlink = self._crew.superlink()
        self._server_apps = self._crew.server_apps()
        self._nodes: dict[int, Unit] = {}
        """By the id that the SuperLink gave."""
        self._online: frozenset[int] = frozenset()
        self._attendance = Attendance(MISSED_SECONDS)
        self._was_complete = False
        self._message = "starting"
        self._said: Status | None = None

    def run(self, stopping: Callable[[], bool]) -> None:
        """Until told to stop; then nothing of it is left."""
        look, calm, check = every(LOOK_SECONDS), every(CALM_LOOK_SECONDS), every(CERTIFICATE_CHECK_SECONDS)
        try:
            while not stopping():
                for unit in self._units:
                    unit.tend()
                if next(check) and self._certify():
                    self._superlink.renew()
                due = next(calm) | (next(look) and self._connected < len(self._settings))
                if due and self._superlink.up:  # while it is down its sockets would keep us waiting
                    self._look()
                self._say(self._status())
                time.sleep(TICK_SECONDS)
        finally:
            for unit in self._units:
                unit.end()
            self._doors.close()
        self._say(replace(self._status(), phase=FederationPhase.STOPPED, ready=False, nodes_connected=0))

    @property
    def _units(self) -> tuple[Unit, ...]:
        """Nodes, and what runs their apps, are of no use before the SuperLink knows them."""
        return (self._superlink, *((self._server_apps, *self._nodes.values()) if self._nodes else ()))

    @property
    def _connected(self) -> int:
        """Nodes that the SuperLink sees and whose processes run: of a hard end it learns only later."""
        return sum(unit.up and node_id in self._online for node_id, unit in self._nodes.items())

    def _prepare(self) -> None:
        """Nodes' trial data in a child, whose imports go with it; meanwhile what all other children share."""
        log = self._home.log("trial-data")
        child = spawn("trial-data", partial(make_trial_data, self._settings), log)
        for module in PRELOADED:
            importlib.import_module(module)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            raise FleetError(f"the nodes' trial data could not be made: {log.read_text().strip()[-500:]}")

    def _certify(self) -> bool:
        """Whether the SuperLink must start anew, with another certificate."""
        renewed = ensure_certificates(self._home, NAMES, self._days)
        self._expires_at = expires_at(self._home.certificate).isoformat()
        return renewed

    def _look(self) -> None:
        """Ask the SuperLink who is there; the first time it answers, make the nodes known to it."""
        try:
            token = self._home.control_token.read_text()
            with Control(self._control, self._home.authority.read_bytes(), token, LOOKING_SECONDS) as control:
                self._nodes = self._nodes or self._register(control)
                self._online = frozenset(node.id for node in control.nodes() if node.status == "online")
        except httpx.HTTPError as problem:
            self._message = f"the SuperLink does not answer: {problem}"
        else:
            self._message = ""
            self._was_complete = self._was_complete or self._connected == len(self._settings)
            for unit in self._attendance.missed(self._nodes, self._online):
                unit.renew()

    def _register(self, control: Control) -> dict[int, Unit]:
        known = {}
        for one in self._settings:
            ensure_secret(one.home.secret)
            node_id = control.register(ensure_node_key(one.home.key), one.name)
            write_whole(one.home.node_id, str(node_id).encode())
            known[node_id] = self._crew.node(one, node_id)
        return known

    def _status(self) -> Status:
        up = self._superlink.up and self._server_apps.up
        connected = self._connected if up else 0
        settled = FederationPhase.READY if connected == len(self._settings) else FederationPhase.DEGRADED
        ready = up and self._was_complete
        ends = [unit.last_end for unit in self._units if not unit.up]
        return Status(
            phase=settled if ready else FederationPhase.STARTING,
            ready=ready,
            nodes_wanted=len(self._settings),
            nodes_connected=connected,
            address=self._fleet,
            control_address=self._control,
            certificate_expires_at=self._expires_at,
            message="; ".join(filter(None, [self._message, *ends])),
            pids={name: pid for unit in self._units for name, pid in unit.pids.items()},
            restarts={unit.name: unit.restarts for unit in self._units if unit.restarts},
        )

    def _say(self, status: Status) -> None:
        """Where it cannot be written, as on a full disk, it is said at the next tick; nothing ends for that."""
        if status != self._said:
            with suppress(OSError):
                status.write(self._home.status)
                self._said = status
