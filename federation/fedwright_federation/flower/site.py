"""A federation as whoever submits a run finds it: its Control API, how many nodes it has, what its ServerApps have left.

On one machine that is its home's files. In a pod it is a Secret, and the results come over the network from beside the
ServerApp. What needs a federation takes a `Site` and does not know which.
"""

import json
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import httpx

from fedwright_crds.federation import FleetReach
from fedwright_federation.flower.control import ANSWER_SECONDS, Control
from fedwright_federation.flower.home import Home
from fedwright_federation.flower.plain import NoPlainFileError, read_plain
from fedwright_federation.flower.status import Status


class Site(Protocol):
    """Its methods raise FileNotFoundError or httpx.TransportError while the federation is away."""

    def control(self) -> Control: ...

    def nodes_wanted(self) -> int: ...

    def result(self, job: str, name: str) -> bytes:
        """A file that a job's ServerApp left. Raises FileNotFoundError before it is there, NoPlainFileError where it is none."""
        ...


@dataclass(frozen=True)
class MachineSite:
    """On this machine; its addresses change whenever it starts anew."""

    home: Home

    def control(self) -> Control:
        address = Status.read(self.home.status).control_address
        return Control(address, self.home.authority.read_bytes(), self.home.control_token.read_text())

    def nodes_wanted(self) -> int:
        return Status.read(self.home.status).nodes_wanted

    def result(self, job: str, name: str) -> bytes:
        return read_plain(self.home.results / job / name)


@dataclass(frozen=True)
class PodSite:
    """Behind Services, reached with what a Secret holds: `ca.crt`, `token`, and `reach.json` (a FleetReach)."""

    secret: Path

    def control(self) -> Control:
        return Control(self._reach.control_address, self._authority, self._token)

    def nodes_wanted(self) -> int:
        return self._reach.nodes_wanted

    def result(self, job: str, name: str) -> bytes:
        context = ssl.create_default_context(cadata=self._authority.decode())
        with httpx.Client(verify=context, timeout=ANSWER_SECONDS) as client:
            answer = client.get(
                f"https://{self._reach.results_address}/{job}/{name}",
                headers={"authorization": f"Bearer {self._token}"},
            )
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise FileNotFoundError(f"{job}/{name}")
        if answer.status_code == HTTPStatus.CONFLICT:
            raise NoPlainFileError(answer.text)
        return answer.raise_for_status().content

    @property
    def _reach(self) -> FleetReach:
        return FleetReach.model_validate(json.loads((self.secret / "reach.json").read_bytes()))

    @property
    def _authority(self) -> bytes:
        return (self.secret / "ca.crt").read_bytes()

    @property
    def _token(self) -> str:
        return (self.secret / "token").read_text().strip()
