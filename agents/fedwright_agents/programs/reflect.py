"""The program of role `reflect`: `python -m fedwright_agents.programs.reflect <profile>`."""

import sys
from collections.abc import Sequence

from fedwright_agents.programs.ask import ask
from fedwright_crds.documents import ReflectInput


def main(argv: Sequence[str]) -> int:
    return ask("reflect", ReflectInput, argv)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
