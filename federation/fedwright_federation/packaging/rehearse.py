"""The program that runs an app on the in-process Grid: /box/in/app.zip and /box/from/shards -> /box/out/model.npz, metrics.json.

`shards` holds `client-<i>.npz` with x and y, and may hold x_test and y_test; one node is made of each. It executes the
app's code, so it runs in a bench box. Arguments: `--rounds N`; without it, as many as the app says.
"""

import argparse
import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from flwr.app.user_config import UserConfig

from fedwright_crds.box import Box
from fedwright_federation.packaging.grid import run_on_grid

JOB = "rehearsal"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int)
    rounds = parser.parse_args(argv).rounds
    box = Box.here()
    with zipfile.ZipFile(box.input("app.zip")) as archive:
        archive.extractall(box.scratch / "app")
    shards = sorted(box.received("shards").glob("client-*.npz"), key=_number)
    folder = rehearse(box.scratch / "app", shards, box.scratch, rounds)
    for name in ("model.npz", "metrics.json"):
        shutil.copyfile(folder / name, box.output(name))
    return 0


def rehearse(app_dir: Path, shards: Sequence[Path], scratch: Path, rounds: int | None = None) -> Path:
    """Run the app on one node a shard; the folder with its model and metrics."""
    nodes = [{"data-path": str(path), "state-dir": str(scratch / "nodes" / str(i))} for i, path in enumerate(shards)]
    config: UserConfig = {"job": JOB, "clients": len(shards), "out-dir": str(scratch / "results")}
    if rounds is not None:
        config["rounds"] = rounds
    run_on_grid(app_dir, nodes, config)
    return scratch / "results" / JOB


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("client-"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
