"""How a command ends: the exit statuses, and the exception for bad input."""

from fedwright_crds.request import FLStrategyRequest, RequestPhase
from fedwright_operator.verdict import finished

ANSWER, FAILED, BAD_INPUT, WAITING, INTERRUPTED = 0, 1, 2, 3, 130


class Refusal(Exception):  # noqa: N818 - the user's input is refused; nothing of ours is at fault
    """Bad input. The message names the field or word, the reason and the mend; nothing was written."""


def exit_status(request: FLStrategyRequest | None) -> int:
    """Of a request that is terminal, waiting, or gone."""
    if request is None:
        return FAILED
    phase = request.status.phase
    if phase is RequestPhase.FAILED:
        end = finished(request.status.conditions)
        return BAD_INPUT if end and end.reason == "InvalidRequest" else FAILED
    return WAITING if phase.waiting else ANSWER
