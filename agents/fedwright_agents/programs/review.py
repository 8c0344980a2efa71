"""The program of role `review`: `python -m fedwright_agents.programs.review <profile>`."""

import sys
from collections.abc import Sequence

from fedwright_agents.programs.ask import ask
from fedwright_crds.documents import ReviewInput


def main(argv: Sequence[str]) -> int:
    return ask("review", ReviewInput, argv)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
