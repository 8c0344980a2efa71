"""The program of role `plan`: `python -m fedwright_agents.programs.plan <profile> [<search profile>]`."""

import sys
from collections.abc import Sequence

from fedwright_agents.programs.ask import ask
from fedwright_crds.documents import PlanInput


def main(argv: Sequence[str]) -> int:
    return ask("plan", PlanInput, argv)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
