"""Where a federation's files lie on one machine. Nothing here reads or writes them.

Private files (keys, the Control token, the executors' secrets) are for their owner alone. A node's folder is all that a
node needs: on another machine it would be that machine's own.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NodeHome:
    """One SuperNode's files."""

    root: Path

    @property
    def key(self) -> Path:
        """Its private key: whoever holds it is this node."""
        return self.root / "key"

    @property
    def node_id(self) -> Path:
        """The id that the SuperLink gave to the key."""
        return self.root / "node-id"

    @property
    def secret(self) -> Path:
        """Shared by the SuperNode and its executor."""
        return self.root / "executor.secret"

    @property
    def data(self) -> Path:
        return self.root / "data.npz"

    @property
    def state(self) -> Path:
        """What the node's clients remember, by job and round."""
        return self.root / "state"


@dataclass(frozen=True)
class Home:
    """A federation's files."""

    root: Path

    @property
    def authority(self) -> Path:
        return self.root / "tls" / "ca.crt"

    @property
    def authority_key(self) -> Path:
        return self.root / "tls" / "ca.key"

    @property
    def certificate(self) -> Path:
        return self.root / "tls" / "server.crt"

    @property
    def certificate_key(self) -> Path:
        return self.root / "tls" / "server.key"

    @property
    def control_token(self) -> Path:
        """Whoever holds it may start runs."""
        return self.root / "control.token"

    @property
    def executor_secret(self) -> Path:
        """Shared by the SuperLink and the executor of its ServerApps."""
        return self.root / "serverapp.secret"

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def results(self) -> Path:
        """What ServerApps leave, one folder a job."""
        return self.root / "results"

    @property
    def status(self) -> Path:
        return self.root / "status.json"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    def log(self, process: str) -> Path:
        return self.root / "logs" / f"{process}.log"

    def flower(self, process: str) -> Path:
        """FLWR_HOME of one process: each has its own, so that none meets another's half-installed app."""
        return self.root / "flower" / process

    def node(self, number: int) -> NodeHome:
        return NodeHome(self.root / "nodes" / str(number))
