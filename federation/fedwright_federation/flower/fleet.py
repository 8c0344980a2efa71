"""The program of one federation: `python -m fedwright_federation.flower.fleet --home DIR --spec FILE`.

It brings up what the spec (a FederationSpec, JSON) asks for and keeps it up, and says how it stands in `DIR/status.json`. On
SIGTERM, SIGINT or the death of its parent it ends all it has started. Started again on the same folder it goes on: same
authority, same node keys, same data base.
"""

import argparse
import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fedwright_crds.federation import FederationSpec
from fedwright_federation.flower.home import Home
from fedwright_federation.flower.processes import PR_SET_PDEATHSIG

ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""No word to the outside, and one thread: threads of a numerical library do not survive a fork."""
LOCK_SECONDS = 15.0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--spec", type=Path, required=True)
    given = parser.parse_args(argv)
    stops: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stops.append(number))
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    home = Home(given.home.absolute())
    home.root.mkdir(parents=True, exist_ok=True)
    home.root.chmod(0o700)
    if not _lock(home):
        print(f"{home.root} belongs to another fleet that still runs; stop it first", file=sys.stderr)
        return 1
    os.environ.update(ENVIRONMENT)
    # Flower and numpy read their environment when they are imported.
    from fedwright_federation.flower.supervisor import FleetError, Supervisor

    try:
        spec = FederationSpec.model_validate_json(given.spec.read_bytes())
        Supervisor(home, spec).run(lambda: bool(stops))
    except (FleetError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _lock(home: Home) -> bool:
    """One generation at a time: children inherit the lock, so it is free only when the last of an earlier one is gone."""
    descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + LOCK_SECONDS
    while time.monotonic() < until:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
        else:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
