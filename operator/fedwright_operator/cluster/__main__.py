"""`python -m fedwright_operator.cluster --config FILE`: the operator, as the chart starts it."""

import argparse
import os
import socket
import sys
import uuid
from pathlib import Path

from fedwright_operator.cluster import log, stores
from fedwright_operator.cluster.config import ConfigError, load
from fedwright_operator.cluster.lease import Seat
from fedwright_operator.cluster.run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fedwright_operator.cluster", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("/etc/fedwright/config.yaml"))
    parser.add_argument("--namespace", default=os.environ.get("POD_NAMESPACE", "default"), help="of the lease")
    parser.add_argument("--name", default=os.environ.get("POD_NAME", socket.gethostname()), help="this replica's own")
    parser.add_argument("--chart", type=Path, default=Path("/opt/fedwright/charts/federation"), help="of federations")
    given = parser.parse_args()
    try:
        config = load(given.config)
        log.set_up(config.log.level.upper(), config.log.format == "json")
        store = stores.opened(config.artifacts)
    except ConfigError as problem:
        print(problem, file=sys.stderr)
        return 2
    # A pod keeps its name when its container starts anew, and the former life may still be paused somewhere.
    holder = f"{given.name}/{uuid.uuid4().hex[:8]}"
    return run(config, Seat(given.namespace, config.lease, holder), given.chart, store)


if __name__ == "__main__":
    sys.exit(main())
