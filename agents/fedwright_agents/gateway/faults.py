"""What went wrong with an attempt, in the gateway's codes: whether to try again, and whether it may have cost anything."""

import json
from dataclasses import dataclass

from fedwright_agents.gateway.errors import Code
from fedwright_agents.gateway.quiet import litellm, should_retry
from fedwright_agents.gateway.usage import Usage
from fedwright_agents.gateway.wire import Wire

UNPROCESSED = {400, 401, 402, 403, 404, 405, 413, 415, 422, 429}
"""Statuses of a provider that has refused a request before any work on it, and so charges nothing. A 5xx may hide an answer
that was made and lost on its way."""

MOST_WORDS = 300
"""Characters of what a provider says of its fault."""


@dataclass
class Fault(Exception):  # noqa: N818 - a provider's, in the field's own word
    """An attempt without a usable answer."""

    code: Code
    message: str
    again: bool
    """Whether another attempt at the same profile may go better."""
    processed: bool
    """Whether the provider may have worked on it, and so may charge for it."""
    usage: Usage | None = None
    retry_after: float | None = None
    """Seconds, where the provider named them."""


def fault(problem: Exception, seen: Wire, seconds: float, wanted: str = "a completion") -> Fault:
    """From what was seen on the wire; litellm's exception is asked only where that does not say enough."""
    where = seen.endpoint or "the provider"
    processed = _may_have_worked(problem, seen)
    if seen.broken_off:
        return Fault(Code.PROVIDER_ERROR, f"{where}: {seen.broken_off}", again=False, processed=processed)
    if isinstance(problem, TimeoutError | litellm.Timeout) and seen.status in {None, 200}:
        return Fault(Code.TIMEOUT, f"{where}: no whole answer in {seconds:,.1f} s", again=True, processed=processed)
    if seen.status is None:
        return _unanswered(problem, where, seen, processed)
    if seen.status < 300:
        kind = seen.content_type or "no content type"
        words = f"{where}: its answer cannot be read as {wanted} ({kind}, {len(seen.body):,} bytes)"
        return Fault(Code.PROVIDER_ERROR, words, again=True, processed=True)
    return _refused(problem, where, seen, seen.status, processed)


def _may_have_worked(problem: Exception, seen: Wire) -> bool:
    """Unless it is certain that it has not: litellm refused to ask, no byte left, or the provider refused.

    A few providers are called by clients of their own that nothing is seen of (a synchronous one, boto3); what they end in
    is charged whole.
    """
    if not seen.endpoint:
        return not isinstance(problem, litellm.BadRequestError)
    if seen.status is None:
        return seen.sent
    return seen.status not in UNPROCESSED and not 300 <= seen.status < 400


def _unanswered(problem: Exception, where: str, seen: Wire, processed: bool) -> Fault:
    if not seen.endpoint:
        code = Code.PROVIDER_ERROR if processed else Code.BAD_REQUEST
        return Fault(code, f"litellm cannot ask this: {_words(str(problem))}", again=False, processed=processed)
    reason = "the connection was lost before an answer" if seen.sent else "no connection"
    return Fault(Code.PROVIDER_ERROR, f"{where}: {reason}", again=True, processed=processed)


def _refused(problem: Exception, where: str, seen: Wire, status: int, processed: bool) -> Fault:
    words = f"{where}: HTTP {status}{_said(bytes(seen.body))}"
    if isinstance(problem, litellm.ContextWindowExceededError):
        return Fault(Code.CONTEXT_TOO_LONG, words, again=False, processed=processed)
    code = {400: Code.BAD_REQUEST, 422: Code.BAD_REQUEST, 408: Code.TIMEOUT, 429: Code.RATE_LIMITED}
    return Fault(
        code.get(status, Code.PROVIDER_ERROR),
        words,
        again=should_retry(status),
        processed=processed,
        retry_after=seen.retry_after,
    )


def _said(body: bytes) -> str:
    """The message of an error's body, where it has OpenAI's shape or something like it."""
    try:
        said = json.loads(body)
        while isinstance(said, dict):
            said = said.get("error") or said.get("message") or said.get("detail")
    except (ValueError, RecursionError):
        return ""
    return f": {_words(said)}" if isinstance(said, str) else ""


def _words(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[:MOST_WORDS]).split())
