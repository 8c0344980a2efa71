"""How a fault of candidate code is told: a check's name, the place, the reason and the mend.

A fault is a value for the report, never a crash of the platform. Nothing here imports torch.
"""

from collections.abc import Iterable
from traceback import FrameSummary, extract_tb

from fedwright_crds.documents import CheckFailure

PACKAGE = "candidate"
"""The package that a candidate's files become."""
PREFIX = f"<{PACKAGE}>/"
"""Begins the file name of each compiled module, so that tracebacks tell candidate code from the platform's."""


class CandidateError(Exception):
    """Candidate code failed; `failures` say where and why."""

    def __init__(self, *failures: CheckFailure) -> None:
        super().__init__("; ".join(f"{failure.check}: {failure.message}" for failure in failures))
        self.failures = failures


def failure(check: str, message: str, file: str = "", line: int | None = None) -> CheckFailure:
    """A failure with its texts made printable and cut to what a report may hold."""
    return CheckFailure(check=check, file=_clean(file, 200), line=line, message=_clean(message, 2000))


def from_exception(check: str, error: BaseException) -> CheckFailure:
    """A failure at the innermost line of candidate code that the traceback passed through, if any."""
    frames = _candidate_frames(extract_tb(error.__traceback__))
    place = frames[-1] if frames else None
    file = place.filename.removeprefix(PREFIX) if place else ""
    return failure(check, describe(error), file, place.lineno if place else None)


def describe(error: BaseException) -> str:
    """The error's type and text; an error whose own text raises is named by type alone."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def _candidate_frames(frames: Iterable[FrameSummary]) -> list[FrameSummary]:
    return [frame for frame in frames if frame.filename.startswith(PREFIX)]


def _clean(text: str, limit: int) -> str:
    printable = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    return printable if len(printable) <= limit else printable[: limit - 1] + "…"
