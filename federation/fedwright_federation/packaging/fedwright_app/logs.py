"""One line of JSON for each thing worth knowing. A line never holds a row of data, a weight or a key."""

import json
import sys
from datetime import UTC, datetime

Value = bool | float | int | str | None


def log(event: str, **facts: Value) -> None:
    """Print it; a ServerApp's lines reach the SuperLink's log, a ClientApp's stay on its node."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
    print(json.dumps(line), file=sys.stdout, flush=True)
