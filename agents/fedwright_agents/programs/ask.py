"""What all programs of mind boxes share: `/box/in/<role>-input.json` -> a mind -> `/box/out/<role>.json`."""

import json
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from fedwright_agents.minds import UnknownProfileError, role_of
from fedwright_agents.model_mind.conversation import NoAnswer
from fedwright_agents.model_mind.model import GATEWAY_AWAY, ModelError
from fedwright_crds.base import Strict
from fedwright_crds.box import Box
from fedwright_crds.request import CATALOGUE
from fedwright_crds.work import AWAY

BAD_INPUT = 2
NO_ANSWER = 3


def ask(role: str, asked: type[Strict], argv: Sequence[str]) -> int:
    """Asks the mind of profile `argv[0]`, the catalogue if there is none; it may search the web if `argv[1]` says by which profile.

    2 where the profile or the input is wrong, 3 where the mind gave no answer, 75 where its gateway was away for longer than it
    waits; the reason goes to standard error.
    """
    box = Box.here()
    try:
        document = asked.model_validate_json(box.input(f"{role}-input.json").read_bytes())
        answer = role_of(argv[0] if argv else CATALOGUE, role, *argv[1:2])(document)
    except (UnknownProfileError, ValidationError, OSError) as error:
        print(f"{role}: {error}", file=sys.stderr)
        return BAD_INPUT
    except (NoAnswer, ModelError) as error:
        print(f"{role}: {error}", file=sys.stderr)
        return AWAY if isinstance(error, ModelError) and error.code == GATEWAY_AWAY else NO_ANSWER
    box.output(f"{role}.json").write_text(json.dumps(answer.to_wire(), indent=1), encoding="utf-8")
    return 0
