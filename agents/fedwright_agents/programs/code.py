"""The program of role `code`: `python -m fedwright_agents.programs.code <profile>`."""

import sys
from collections.abc import Sequence

from fedwright_agents.programs.ask import ask
from fedwright_crds.documents import CodeInput


def main(argv: Sequence[str]) -> int:
    return ask("code", CodeInput, argv)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
