"""Allowances: what the control plane lets one work ask of models. The bearer of a mind, in place of any key.

The control plane signs, the model gateway verifies; both hold the secret, a mind does not. A signature covers every field,
so a mind can change neither its role nor its budgets. What was spent is the gateway's to know.
"""

import base64
import binascii
import hashlib
import hmac
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from fedwright_crds.base import Name, Strict, Word, canonical

LEAST_SECRET_BYTES = 16
MOST_TOKEN_CHARACTERS = 8192
PURPOSE = b"fedwright.dev/allowance/v1:"
"""Signed with every allowance, so that no other use of the secret can be taken for one."""

WorkId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.:]*$", min_length=1, max_length=128)]


class Role(StrEnum):
    PLAN = "plan"
    CODE = "code"
    DEBUG = "debug"
    REFLECT = "reflect"
    REVIEW = "review"


class Limits(Strict):
    """The most that may be spent. Absent: no limit of that kind. Zero: nothing may be spent."""

    tokens: Annotated[int, Field(ge=0, le=10**12)] | None = None
    """Of prompts and answers together."""
    money_usd: Annotated[float, Field(ge=0, le=1e7)] | None = None
    calls: Annotated[int, Field(ge=0, le=10**9)] | None = None
    """Attempts at a provider; each retry is one."""
    seconds: Annotated[float, Field(ge=0, le=1e9)] | None = None
    """Of waiting for models, added over calls, parallel ones too."""


class Allowance(Strict):
    """A role of one request may call one profile until then, within what is left of both limits."""

    request_uid: Word
    namespace: Name
    name: Name
    role: Role
    profile: Word
    search: Word | None = None
    """The search profile by which it may also search the web; absent: it may not."""
    work_id: WorkId
    candidate: Name | None = None
    """For display alone."""
    request_limits: Limits = Limits()
    role_limits: Limits = Limits()
    """Of this role in this request, over all its works."""
    expires_at: Annotated[int, Field(ge=0, le=10**11)]
    """Unix time in seconds; from then on no call may begin."""


class AllowanceError(Exception):
    """A token that allows nothing."""


class MalformedAllowanceError(AllowanceError):
    """It is no allowance at all."""


class ForgedAllowanceError(AllowanceError):
    """Its signature is not of this secret."""


class ExpiredAllowanceError(AllowanceError):
    """Its time is over."""


def sign(allowance: Allowance, secret: bytes) -> str:
    """A bearer token. ValueError for a secret that could be guessed."""
    payload = _text(canonical(allowance.to_wire()))
    return f"{payload}.{_signature(payload, secret)}"


def verify(token: str, secret: bytes, now: float) -> Allowance:
    """What a token allows at `now` (Unix time). AllowanceError says why it allows nothing, and repeats no part of it."""
    payload, dot, signature = token.partition(".")
    if not dot or len(token) > MOST_TOKEN_CHARACTERS or not token.isascii():
        raise MalformedAllowanceError("this is no allowance; send the one that this work was given")
    if not hmac.compare_digest(signature, _signature(payload, secret)):
        raise ForgedAllowanceError("the allowance is not signed with this gateway's secret; send it as it was given")
    allowance = _allowance(payload)
    if now >= allowance.expires_at:
        raise ExpiredAllowanceError(f"the allowance expired {now - allowance.expires_at:,.0f} s ago; ask for a new one")
    return allowance


def read_secret(file: Path) -> bytes:
    """The secret of a file, without white space around it, so that both sides read the same. OSError, ValueError."""
    return _long_enough(file.read_bytes().strip())


def _allowance(payload: str) -> Allowance:
    try:
        return Allowance.model_validate_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValidationError):
        raise MalformedAllowanceError(
            "the allowance is signed but is not one of this version; sign it with the same release"
        ) from None


def _long_enough(secret: bytes) -> bytes:
    if len(secret) < LEAST_SECRET_BYTES:
        raise ValueError(f"the secret has {len(secret)} bytes; give at least {LEAST_SECRET_BYTES} random ones")
    return secret


def _signature(payload: str, secret: bytes) -> str:
    return _text(hmac.new(_long_enough(secret), PURPOSE + payload.encode(), hashlib.sha256).digest())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
