"""Answers from recordings, by the digest of what is asked; there is no network in it.

The same question recorded several times is answered in the order of recording, the last answer again and again; each request
begins with the first. Recorded problems are answered as they were. What was charged is charged again, so that budgets and
reports are those of the recorded run.
"""

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from fedwright_agents.gateway.call import Call, Outcome
from fedwright_agents.gateway.errors import Code, GatewayError
from fedwright_agents.gateway.purse import Purse
from fedwright_agents.gateway.transcripts import RecordingError, recordings
from fedwright_crds.transcript import Charge, Transcript

NOT_OF_THE_MODEL = {Code.NOT_RECORDED, Code.INTERNAL}
"""Problems that say nothing of a conversation."""

Shelf = dict[str, list[Transcript]]
"""Recordings by digest."""


def load(folder: Path) -> Shelf:
    """RecordingError."""
    shelf: Shelf = defaultdict(list)
    for one in recordings(folder):
        if one.problem is None or one.problem.code not in NOT_OF_THE_MODEL:
            shelf[one.digest].append(one)
    if not shelf:
        raise RecordingError(f"{folder} holds no recording; name a folder with <request>/<number>-<role>.json")
    return dict(shelf)


class Replay:
    def __init__(self, shelf: Shelf, purse: Purse) -> None:
        self._shelf, self._purse = shelf, purse
        self._asked: dict[tuple[str, str], int] = defaultdict(int)
        """How often, by request and digest."""

    async def answer(self, call: Call) -> Outcome:
        recorded = self._next(call)
        if recorded is None:
            problem = GatewayError(Code.NOT_RECORDED, f"not recorded: {call.allowance.role} {call.digest}")
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            return Outcome(attempts=(), charged=Charge(), date=now, problem=problem)
        try:
            reservation = await self._purse.reserve(call.allowance, recorded.charged, call.deadline)
        except GatewayError as refusal:
            return Outcome(attempts=(), charged=Charge(), date=recorded.date, problem=refusal, replayed=True)
        return _outcome(recorded, await self._purse.settle(reservation, call.allowance, recorded.charged))

    def _next(self, call: Call) -> Transcript | None:
        known = self._shelf.get(call.digest)
        if known is None:
            return None
        key = (call.allowance.request_uid, call.digest)
        place = min(self._asked[key], len(known) - 1)
        self._asked[key] += 1
        return known[place]


def _outcome(recorded: Transcript, charged: Charge) -> Outcome:
    problem = recorded.problem
    return Outcome(
        attempts=recorded.attempts,
        charged=charged,
        date=recorded.date,
        answer=recorded.answer,
        problem=GatewayError(Code(problem.code), problem.message) if problem else None,
        answered_by=recorded.answered_by,
        endpoint=recorded.endpoint,
        replayed=True,
    )
