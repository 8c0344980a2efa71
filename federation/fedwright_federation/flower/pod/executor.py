"""What runs a federation's apps in a container of its own: ServerApps beside nothing, ClientApps beside their SuperNode.

The apps are generated code, in forks of this process. So the container holds neither a node's key nor the Control token; a
node's executor does not even hold a certificate. With `--presence` it lets the SuperNode see its end, for then both start anew.
"""

import argparse
import importlib
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fedwright_federation.flower.executor import Endpoint, serve
from fedwright_federation.flower.pod.presence import announce

PRELOADED = (
    "flwr.clientapp",
    "flwr.serverapp",
    "fedwright_federation.packaging.fedwright_app.server_app",
    "fedwright_federation.packaging.fedwright_app.client_app",
    "fedwright_federation.strategies",
)
"""What the apps would import by themselves, each for itself."""
WAIT_SECONDS = 0.2


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--runtime-api-address", required=True)
    parser.add_argument("--root-certificates", type=Path, help="without it the connection is plain")
    parser.add_argument(
        "--superexec-auth-secret-file", type=Path, required=True, help="waited for where it is not there yet"
    )
    parser.add_argument("--presence", type=Path, help="the lock that is held for life")
    given = parser.parse_args(argv)
    for module in PRELOADED:
        importlib.import_module(module)
    _make_flower_home()
    while not given.superexec_auth_secret_file.exists():
        time.sleep(WAIT_SECONDS)
    if given.presence:
        announce(given.presence)
    serve(Endpoint(given.runtime_api_address, given.superexec_auth_secret_file, given.root_certificates))
    return 0


def _make_flower_home() -> None:
    """Anew: an app whose installation was cut short would stay so."""
    home = Path(os.environ["FLWR_HOME"])
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)


if __name__ == "__main__":
    sys.exit(main())
