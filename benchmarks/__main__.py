"""`python -m benchmarks [name ...]`: all figures that need no GPU, or those named."""

import argparse
from pathlib import Path

from benchmarks import boxes, cascade, demo, gpu, null, one_candidate
from benchmarks.table import save, show

MEASURES = {
    "candidate": one_candidate.measure,
    "boxes": boxes.measure,
    "demo": demo.measure,
    "null": null.measure,
    "cascade": cascade.measure,
    "gpu": gpu.measure,
}
BY_NAME_ALONE = {"gpu"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], help="which figures; all but gpu by default")
    parser.add_argument("--out", type=Path, default=Path("bench.json"), help="where the figures go as JSON")
    chosen = parser.parse_args()
    rows = []
    for name in chosen.names or [name for name in MEASURES if name not in BY_NAME_ALONE]:
        rows += MEASURES[name]()
        show(rows)
        save(rows, chosen.out)


if __name__ == "__main__":
    main()
