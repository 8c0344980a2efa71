"""The program that cuts a node's shard of a known task, before the node starts: for federations that are tried out.

It imports neither Flower nor a strategy, so it runs in any image that has the data sets.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fedwright_crds.federation import NodeData
from fedwright_federation.flower.home import NodeHome
from fedwright_federation.flower.node_data import NodeSetting, make_trial_data


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=NodeData.model_validate_json, required=True, help="a NodeData as JSON")
    parser.add_argument("--place", type=int, required=True, help="of the node within its group, from 0")
    parser.add_argument("--home", type=Path, required=True)
    given = parser.parse_args(argv)
    make_trial_data([NodeSetting(given.place, "", given.place + 1, given.data, given.place, NodeHome(given.home))])
    return 0


if __name__ == "__main__":
    sys.exit(main())
