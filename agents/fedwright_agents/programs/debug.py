"""The program of role `debug`: `python -m fedwright_agents.programs.debug <profile>`."""

import sys
from collections.abc import Sequence

from fedwright_agents.programs.ask import ask
from fedwright_crds.documents import DebugInput


def main(argv: Sequence[str]) -> int:
    return ask("debug", DebugInput, argv)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
