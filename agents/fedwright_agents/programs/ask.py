"""What all programs of mind boxes share: `/box/in/<role>-input.json` -> a mind -> `/box/out/<role>.json`."""

import json
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from fedwright_agents.minds import UnknownProfileError, role_of
from fedwright_crds.base import Strict
from fedwright_crds.box import Box

BAD_INPUT = 2


def ask(role: str, asked: type[Strict], argv: Sequence[str]) -> int:
    """Asks the mind of profile `argv[0]`, the catalogue if there is none. 2 where the profile or the input is wrong."""
    box = Box.here()
    try:
        mind = role_of(argv[0] if argv else "catalogue", role)
        document = asked.model_validate_json(box.input(f"{role}-input.json").read_bytes())
    except (UnknownProfileError, ValidationError, OSError) as error:
        print(f"{role}: {error}", file=sys.stderr)
        return BAD_INPUT
    box.output(f"{role}.json").write_text(json.dumps(mind(document).to_wire(), indent=1), encoding="utf-8")
    return 0
