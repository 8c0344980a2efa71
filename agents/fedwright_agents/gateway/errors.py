"""What the gateway answers in place of a completion: OpenAI's error shape with a code that a mind can rely on."""

from enum import StrEnum
from typing import Any

from fedwright_crds.transcript import Problem

MOST_MESSAGE = 2000
"""Characters; the rest of a longer message is cut."""


class Code(StrEnum):
    UNAUTHORIZED = "unauthorized"
    UNKNOWN_PROFILE = "unknown_profile"
    BUDGET_EXHAUSTED = "budget_exhausted"
    NOT_RECORDED = "not_recorded"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    PROVIDER_ERROR = "provider_error"
    BAD_REQUEST = "bad_request"
    CONTEXT_TOO_LONG = "context_too_long"
    INTERNAL = "internal"


STATUS = {
    Code.UNAUTHORIZED: 401,
    Code.UNKNOWN_PROFILE: 404,
    Code.BUDGET_EXHAUSTED: 402,
    Code.NOT_RECORDED: 424,
    Code.TIMEOUT: 504,
    Code.RATE_LIMITED: 429,
    Code.PROVIDER_ERROR: 502,
    Code.BAD_REQUEST: 400,
    Code.CONTEXT_TOO_LONG: 400,
    Code.INTERNAL: 500,
}


class GatewayError(Exception):
    """A call that ends without an answer. `details` stand beside the message in the error's body."""

    def __init__(self, code: Code, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.details = code, message[:MOST_MESSAGE], details

    @property
    def problem(self) -> Problem:
        return Problem(code=self.code, message=self.message)

    def body(self) -> dict[str, Any]:
        return {
            "error": {"message": self.message, "type": "fedwright", "param": None, "code": self.code, **self.details}
        }
