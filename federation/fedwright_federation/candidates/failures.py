"""How a fault of candidate code is told: a check's name, the place, the reason and the mend.

A fault is a value for the report, never a crash of the platform. Nothing here imports torch.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from traceback import TracebackException, extract_tb

from fedwright_crds.documents import CheckFailure

PACKAGE = "candidate"
"""The package that a candidate's files become."""
PREFIX = f"<{PACKAGE}>/"
"""Begins the file name of each compiled module, so that tracebacks tell candidate code from the platform's."""

ROOM = "fedwright_federation/"
"""The platform's own."""


class CandidateError(Exception):
    """Candidate code failed; `failures` say where and why."""

    def __init__(self, *failures: CheckFailure) -> None:
        super().__init__("; ".join(f"{failure.check}: {failure.message}" for failure in failures))
        self.failures = failures


def failure(check: str, message: str, file: str = "", line: int | None = None) -> CheckFailure:
    """A failure with its texts made printable and cut to what a report may hold."""
    return CheckFailure(check=check, file=_clean(file, 200), line=line, message=_clean(message, 2000))


def from_exception(check: str, error: BaseException) -> CheckFailure:
    """A failure at the innermost line of candidate code that the traceback passed through; where there is none, the message tells the
    platform's own line, which shows what it missed."""
    passed = extract_tb(error.__traceback__)
    own = [frame for frame in passed if frame.filename.startswith(PREFIX)]
    if own:
        return failure(check, describe(error), own[-1].filename.removeprefix(PREFIX), own[-1].lineno)
    ours = [frame for frame in passed if ROOM in frame.filename]
    where = f" (in {ours[-1].filename.rpartition(ROOM)[2]}: {ours[-1].line})" if ours else ""
    return failure(check, describe(error) + where)


@contextmanager
def blame(check: str) -> Iterator[None]:
    """Whatever is raised within becomes a CandidateError of this check, SystemExit and the like included.

    A RuntimeError or ValueError about sizes is told as `Shape`.
    """
    try:
        yield
    except CandidateError:
        raise
    except SyntaxError as error:
        text = f"{error.msg}: {(error.text or '').strip()}"
        file = (error.filename or "").removeprefix(PREFIX)
        raise CandidateError(failure("Syntax", text, file, error.lineno)) from error
    except BaseException as error:
        told = describe(error)
        name = "Shape" if check == "Simulation" and _SIZES.search(told) else check
        raise CandidateError(from_exception(name, error)) from error


_SIZES = re.compile(r"\bshapes?\b|size of tensor|size mismatch|broadcast|must match the size|dimension", re.IGNORECASE)


def describe(error: BaseException) -> str:
    """The error's type and text, with the interpreter's own suggestion where it has one."""
    try:
        lines = TracebackException.from_exception(error, limit=0).format_exception_only()
        return ("".join(lines).strip() or type(error).__name__) + _fields(error)
    except Exception:  # its own text may raise
        return type(error).__name__


def _fields(error: BaseException) -> str:
    """What there is, where a document of the platform's was asked for what it does not have."""
    kind = type(error.obj) if isinstance(error, AttributeError) else object
    if not (is_dataclass(kind) and kind.__module__.startswith(ROOM.replace("/", "."))):
        return ""
    return f" ({kind.__name__} has {', '.join(one.name for one in fields(kind))})"


def _clean(text: str, limit: int) -> str:
    printable = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    return printable if len(printable) <= limit else printable[: limit - 1] + "…"
