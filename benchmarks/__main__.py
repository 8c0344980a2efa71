"""`python -m benchmarks [name ...]`: all figures, or those named."""

import argparse
from pathlib import Path

from benchmarks import boxes, cascade, demo, null, one_candidate
from benchmarks.table import save, show

MEASURES = {
    "candidate": one_candidate.measure,
    "boxes": boxes.measure,
    "demo": demo.measure,
    "null": null.measure,
    "cascade": cascade.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], help="which figures; all by default")
    parser.add_argument("--out", type=Path, default=Path("bench.json"), help="where the figures go as JSON")
    chosen = parser.parse_args()
    rows = []
    for name in chosen.names or MEASURES:
        rows += MEASURES[name]()
        show(rows)
        save(rows, chosen.out)


if __name__ == "__main__":
    main()
