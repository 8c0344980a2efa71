"""Language models on one machine: the gateway's process, and what each mind is given to reach it.

The gateway alone learns keys. A mind's box gets its address and an allowance, which is signed here and names the budgets of
the request and of the role. The gateway starts when a work first needs it.
"""

import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Event, Lock

from fedwright_crds.allowance import read_secret
from fedwright_crds.candidate import Candidate
from fedwright_crds.profiles import Profiles, load_profiles
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.work import Step, Work
from fedwright_operator.local.child import Child
from fedwright_operator.local.files import write_whole
from fedwright_operator.local.home import Home
from fedwright_operator.local.store import Store
from fedwright_operator.shell.allowances import allowance_for, given, profile_of

GATEWAY = "fedwright_agents.gateway"
START_SECONDS = 120.0
GRACE_SECONDS = 5.0
SECRET_BYTES = 32


class NoGatewayError(OSError):
    """The gateway cannot be started: the work cannot be tried now, and may be later."""


class Models:
    """The gateway of one home; `secrets` is what works are given."""

    def __init__(self, home: Home) -> None:
        self._home, self._store = home, Store(home.resources)
        self._lock = Lock()
        self._child: Child | None = None
        self._url = ""

    def secrets(self, work: Work, step: Step) -> Mapping[str, bytes]:
        """The address and the allowance, where a language model stands behind the step. Raises NoGatewayError."""
        if profile_of(step) is None:
            return {}
        request, candidate = self._whose(work)
        secret = self._secret()  # the gateway reads it when it starts
        return given(allowance_for(work, step, request, candidate), self._running(), secret)

    def close(self) -> None:
        with self._lock:
            if self._child:
                self._child.end(GRACE_SECONDS + 2)
                self._child = None

    # -- allowances -------------------------------------------------------------------------------
    def _whose(self, work: Work) -> tuple[FLStrategyRequest, str | None]:
        """The request that the work is for, and the candidate if it is one's."""
        name, namespace = work.labels["name"], work.labels["namespace"]
        candidate = self._store.get(Candidate, name, namespace) if work.labels["kind"] == "Candidate" else None
        request = self._store.get(FLStrategyRequest, candidate.spec.request if candidate else name, namespace)
        if request is None:
            raise NoGatewayError(f"the request of work {work.id} is gone")
        return request, candidate.metadata.name if candidate else None

    def _secret(self) -> bytes:
        """Made once; a work that outlives this process may still be allowed by the next."""
        file = self._home.models / "secret"
        with self._lock:
            if not file.exists():
                write_whole(file, secrets.token_hex(SECRET_BYTES).encode())
                file.chmod(0o600)
            return read_secret(file)

    # -- the process ------------------------------------------------------------------------------
    def _running(self) -> str:
        """The gateway's address, once it answers."""
        with self._lock:
            if self._child and self._child.wait(0) is not None:
                self._child = None
            if self._child is None:
                self._child, self._url = self._start()
            return self._url

    def _start(self) -> tuple[Child, str]:
        up, said = Event(), {"url": ""}

        def hear(line: str) -> None:
            url = _url_in(line)
            if url:
                said["url"] = url
                up.set()

        profiles = profiles_file(self._home)
        child = Child(
            (
                *(GATEWAY, "--profiles", str(profiles), "--state", str(self._home.models.absolute())),
                *("--secret-file", str((self._home.models / "secret").absolute())),
                *self._replaying(),
            ),
            cwd=self._home.models,
            environment={"HOME": str(self._home.models.absolute()), **_keys(load_profiles(profiles))},
            grace_seconds=GRACE_SECONDS,
            on_line=hear,
        )
        deadline = time.monotonic() + START_SECONDS
        while not up.wait(0.1):
            if child.wait(0) is not None or time.monotonic() > deadline:
                child.end(GRACE_SECONDS + 2)
                raise NoGatewayError(f"the model gateway did not start: {child.last_words[-1500:]}")
        return child, said["url"]

    def _replaying(self) -> tuple[str, ...]:
        folder = os.environ.get("FEDWRIGHT_REPLAY")
        return ("--replay", str(Path(folder).absolute())) if folder else ()


def profiles_file(home: Home) -> Path:
    """Where the administrator's profiles are: $FEDWRIGHT_PROFILES, or profiles.yaml in the home."""
    named = os.environ.get("FEDWRIGHT_PROFILES")
    return Path(named).expanduser().absolute() if named else (home.root / "profiles.yaml").absolute()


def _keys(profiles: Profiles) -> dict[str, str]:
    """The variables that profiles name, and no other."""
    named = [key.environment for key in profiles.key_sources.values() if key.environment]
    return {name: os.environ[name] for name in named if name in os.environ}


def _url_in(line: str) -> str:
    try:
        said = json.loads(line)
    except ValueError:
        return ""
    return str(said.get("url", "")) if isinstance(said, dict) else ""
