"""What a federation says of itself: `status.json` in its home, replaced whole at each change."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fedwright_crds.federation import FederationPhase
from fedwright_federation.packaging.files import write_whole


@dataclass(frozen=True)
class Status:
    """The state of a federation's processes."""

    phase: FederationPhase
    ready: bool
    """Its processes are up, and all nodes have been connected at once since the supervisor began."""
    nodes_wanted: int
    nodes_connected: int
    address: str
    """Where SuperNodes connect."""
    control_address: str
    certificate_expires_at: str
    message: str = ""
    pids: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Status":
        """Raises FileNotFoundError before the first word."""
        said = json.loads(path.read_text())
        return cls(**{**said, "phase": FederationPhase(said["phase"])})

    def write(self, path: Path) -> None:
        write_whole(path, json.dumps(asdict(self)).encode())
