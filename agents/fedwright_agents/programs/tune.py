"""The program of role `tune`: `python -m fedwright_agents.programs.tune <profile>`."""

import sys
from collections.abc import Sequence

from fedwright_agents.programs.ask import ask
from fedwright_crds.documents import TuneInput


def main(argv: Sequence[str]) -> int:
    return ask("tune", TuneInput, argv)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
