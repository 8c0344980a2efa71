"""What was said to models for a request, as the gateway wrote it down, and what it charged for that by role."""

from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from fedwright_crds.allowance import Role
from fedwright_crds.transcript import Charge, Transcript
from fedwright_operator.local.home import Home


class TranscriptError(ValueError):
    """A file among the transcripts is none: which, and why."""


def transcripts(home: Home, uid: str) -> Iterator[Transcript]:
    """Of one request, in the order of asking; none where no model was asked. Raises TranscriptError."""
    for file in sorted((home.models / "transcripts" / uid).glob("*-*.json")) if uid else ():
        try:
            yield Transcript.model_validate_json(file.read_bytes())
        except ValidationError as problem:
            raise TranscriptError(f"{file} is no transcript: {problem.errors()[0]['msg']}; was it edited?") from None


def charged(calls: Iterable[Transcript]) -> dict[Role, Charge]:
    """By role, in the order of the roles. Attempts that failed count as they were charged."""
    sums: dict[Role, Charge] = {}
    for one in calls:
        sums[one.role] = sums.get(one.role, Charge()) + one.charged
    return {role: sums[role] for role in Role if role in sums}


def charged_in(home: Home, uid: str) -> dict[Role, Charge]:
    """Of one request. None of it where a transcript cannot be read: an answer must not depend on its bill."""
    try:
        return charged(transcripts(home, uid))
    except TranscriptError:
        return {}
