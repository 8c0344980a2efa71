"""The desk of one pass: steps ask it for the results of work; what is not finished yet it puts on the list of wanted work.

A step reads as if work were a function call that may answer "not yet". The same call in a later pass finds the result by the
work's id, so nothing is remembered between passes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from fedwright_crds.base import Strict
from fedwright_crds.documents import Usage
from fedwright_crds.meta import Spent
from fedwright_crds.work import Input, Outcome, Work, WorkResult
from fedwright_operator.reconcile.api import artifact

D = TypeVar("D", bound=Strict)

PLATFORM_ATTEMPTS = 3
"""How often work is tried when the platform, not the work, is at fault."""

MOST_WORDS = 900
"""Characters of what a step printed: its end names the error, and the whole is to fit into a line of 1024."""


class Unfinished(Exception):  # noqa: N818 - no error: control flow of a pass, caught by the step runner alone
    """Raised by a step that cannot go on before wanted work has finished."""


class GaveUp(Exception):  # noqa: N818 - as above
    """Work failed for good; carries the last result."""

    def __init__(self, result: WorkResult) -> None:
        super().__init__(failure_text(result))
        self.result = result


@dataclass
class Desk:
    """Collects what one pass wants."""

    results: Mapping[str, WorkResult]
    read: Callable[[str], bytes]
    retries: int = 0
    """How often a person asked for another try: each grants failed work a new set of attempts."""
    works: list[Work] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    orders: dict[str, bytes] = field(default_factory=dict)
    finished: dict[str, WorkResult] = field(default_factory=dict)
    usage: dict[str, Usage] = field(default_factory=dict)
    """What minds said that they spent, by work."""

    def put(self, name: str, document: Strict) -> Input:
        """Keep a document as an input for work."""
        digest, data = artifact(document)
        self.artifacts[digest] = data
        return Input(name=name, digest=digest)

    def order(self, name: str, document: Strict) -> Input:
        """A document as an input that nothing but its work reads."""
        digest, data = artifact(document)
        self.orders[digest] = data
        return Input(name=name, digest=digest)

    def result(self, work: Work) -> WorkResult | None:
        """The result of this work, or None when it is wanted and not finished.

        Failure of the work's own is a result like any other, until a person asks for another try. The platform's failures
        are tried again as new attempts; after the last one the result says PlatformError.
        """
        attempt, last = 0, None
        while attempt < PLATFORM_ATTEMPTS * (1 + self.retries):
            tried = work if attempt == work.attempt else work.model_copy(update={"attempt": attempt})
            last = self.results.get(tried.id)
            if last is None:
                self.works.append(tried)
                return None
            self.finished[last.id] = last
            if last.outcome is Outcome.SUCCEEDED:
                break
            attempt = attempt + 1 if last.outcome is Outcome.PLATFORM_ERROR else _next_try(attempt)
        return last

    def succeeded(self, work: Work) -> WorkResult:
        """The result of work that must succeed for the step to go on."""
        result = self.result(work)
        if result is None:
            raise Unfinished
        if result.outcome is not Outcome.SUCCEEDED:
            raise GaveUp(result)
        return result

    def document(self, kind: type[D], result: WorkResult, output: str) -> D:
        """An output as a document. What a box wrote is hostile: anything but a valid document raises GaveUp."""
        try:
            document = kind.model_validate_json(self.read(result.outputs[output]))
        except (KeyError, ValueError) as problem:
            raise GaveUp(
                result.model_copy(
                    update={
                        "outcome": Outcome.FAILED,
                        "message": f"output {output} is no {kind.__name__}: {_first_line(problem)}",
                    }
                )
            ) from None
        if isinstance(usage := getattr(document, "usage", None), Usage):
            self.usage[result.id] = usage
        return document

    def spent(self) -> Spent:
        seconds = sum(verdict.wall_seconds for result in self.finished.values() for verdict in result.verdicts)
        return Spent(
            works=len(self.finished),
            box_seconds=round(seconds, 3),
            tokens=sum(one.tokens for one in self.usage.values()),
            money_usd=sum(one.money_usd for one in self.usage.values()),
        )


def _next_try(attempt: int) -> int:
    """The first attempt of the next set: what failed by itself is not tried again within one."""
    return (attempt // PLATFORM_ATTEMPTS + 1) * PLATFORM_ATTEMPTS


def failure_text(result: WorkResult) -> str:
    """Why work failed, for a person: what the trusted parent saw, then the end of what the step printed."""
    verdict = result.verdicts[-1] if result.verdicts else None
    where = f" in step {verdict.step}" if verdict else ""
    seen = f"{result.kind}: {result.reason}{where}"
    words = _beyond_the_reason(result) or (verdict.text.strip() if verdict else "")
    return f"{seen}: {words[-MOST_WORDS:]}" if words else seen


def _beyond_the_reason(result: WorkResult) -> str:
    """The parent's message, unless it only repeats how the last step ended."""
    repeated = {f"step {verdict.step}: {verdict.reason}" for verdict in result.verdicts[-1:]}
    return "" if result.message in repeated else result.message


def _first_line(problem: Exception) -> str:
    return str(problem).splitlines()[0][:300] if str(problem) else type(problem).__name__
