"""A home: the folder with all that one machine knows, and the lock of the one process that drives it."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedwright_operator.shell.clock import now


class HomeIsDriven(Exception):  # noqa: N818 - a state that is asked for, not a fault
    """Another process drives this home."""


@dataclass(frozen=True)
class Home:
    """Where things lie below one folder."""

    root: Path

    @property
    def resources(self) -> Path:
        return self.root / "resources"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def works(self) -> Path:
        return self.root / "works"

    @property
    def federations(self) -> Path:
        return self.root / "federations"

    def federation(self, namespace: str, name: str) -> Path:
        """State of one federation: certificates, node keys, data base, the nodes' own folders."""
        return self.federations / namespace / name

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def models(self) -> Path:
        """The model gateway's: its ledger, the transcripts, the secret that signs allowances."""
        return self.root / "models"

    @property
    def lessons(self) -> Path:
        """What finished requests taught: a JSON object a line, written by the agents' program alone."""
        return self.root / "knowledge" / "lessons.jsonl"

    @property
    def usage(self) -> Path:
        return self.root / "usage"

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    @property
    def driver(self) -> Path:
        return self.root / "driver.lock"

    @contextmanager
    def driven(self) -> Iterator[None]:
        """Be the one process that drives this home. The lock dies with its holder. Raises HomeIsDriven."""
        self.root.mkdir(parents=True, exist_ok=True)
        with self.driver.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HomeIsDriven(self._held_by()) from None
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "since": now().isoformat(timespec="seconds")}))
            file.flush()
            yield

    def _held_by(self) -> str:
        try:
            holder = json.loads(self.driver.read_text())
            who = f"process {holder['pid']} (since {holder['since']})"
        except (ValueError, KeyError):
            who = "another process"
        return f"{who} drives {self.root}; wait for it, stop it, or use another --home"
