"""`python -m benchmarks.cluster [one] [scale]`: all figures, or those named. For a hundred requests the nodes are simulated."""

import argparse
from pathlib import Path

from benchmarks.cluster import one_request, scale
from benchmarks.table import save, show

MEASURES = {"one": one_request.measure, "scale": scale.measure}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], help="which figures; all by default")
    parser.add_argument("--requests", type=int, default=scale.REQUESTS, help="how many at one time, for `scale`")
    parser.add_argument("--out", type=Path, default=Path("bench-cluster.json"), help="where the figures go as JSON")
    chosen = parser.parse_args()
    rows = []
    for name in chosen.names or MEASURES:
        rows += scale.measure(chosen.requests) if name == "scale" else MEASURES[name]()
        show(rows)
        save(rows, chosen.out)


if __name__ == "__main__":
    main()
