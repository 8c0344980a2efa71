"""`python -m fedwright_crds` writes the CRDs beside the package; `--check` compares them instead."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path

from fedwright_crds.crds import generated

FOLDER = Path(__file__).parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 1 where a check finds a difference."""
    parser = ArgumentParser(prog="python -m fedwright_crds", description=__doc__)
    parser.add_argument("--check", action="store_true", help="show what differs and exit with 1")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(argv)
    if options.check:
        differences = "".join(_difference(options.folder / name, text) for name, text in generated().items())
        print(differences, end="")
        return 1 if differences else 0
    for name, text in generated().items():
        (options.folder / name).write_text(text, encoding="utf-8")
    return 0


def _difference(file: Path, wanted: str) -> str:
    present = file.read_text(encoding="utf-8") if file.exists() else ""
    lines = unified_diff(present.splitlines(True), wanted.splitlines(True), str(file), f"{file} as generated")
    return "".join(lines)


if __name__ == "__main__":
    sys.exit(main())
