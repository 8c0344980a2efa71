"""What models have cost a request, as the gateway's ledger has it: asked over HTTP, when a report is made.

A gateway that is away for a short while, since its pod has just been moved, is waited for from pass to pass, so that no
report has an empty bill for that. One that stays away costs the report its figures, and not the request its report.
"""

import logging
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

import urllib3
from pydantic import ValidationError

from fedwright_crds.allowance import Role, read_secret, sign
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.transcript import Charge, Usage
from fedwright_operator.cluster.config import ModelSettings
from fedwright_operator.shell.allowances import allowance_to_ask

ASK_SECONDS = 5.0
PATIENCE_SECONDS = 180.0
"""For a pod on another node, with its volume and its start."""
MOST_BYTES = 64 * 1024
_CHUNK = 4096

log = logging.getLogger(__name__)


class NoBillError(Exception):
    """The gateway did not say what a request has cost: why."""


class Bills:
    """Safe to use from many threads."""

    def __init__(self, models: ModelSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._models, self._clock = models, clock
        self._pool = urllib3.PoolManager(timeout=ASK_SECONDS, retries=False, maxsize=4)
        self._away: dict[str, float] = {}
        """Since when the gateway did not answer, by the request's uid."""

    def of(self, request: FLStrategyRequest) -> Mapping[Role, Charge] | None:
        """By role; None where the gateway is waited for."""
        if not request.spec.minds.models:
            return {}
        uid = request.metadata.uid or ""
        try:
            roles = self._asked(request)
        except NoBillError as problem:
            since = self._away.setdefault(uid, self._clock())
            waits = self._clock() - since < PATIENCE_SECONDS
            log.warning("no bill: %s; %s", problem, "asked again" if waits else "the report goes without")
            return None if waits else {}
        self._away.pop(uid, None)
        return roles

    def _asked(self, request: FLStrategyRequest) -> Mapping[Role, Charge]:
        try:
            token = sign(allowance_to_ask(request), read_secret(self._models.secret))
        except (OSError, ValueError) as problem:
            raise NoBillError(f"{self._models.secret}: {problem}") from None
        answer = self._answer({"authorization": f"Bearer {token}", "accept-encoding": "identity"})
        try:
            return Usage.model_validate_json(answer).roles
        except ValidationError as problem:
            raise NoBillError(f"what it answers is no account: {problem.errors()[0]['msg']}") from None

    def _answer(self, headers: Mapping[str, str]) -> bytes:
        try:
            answer = self._pool.request(
                "GET",
                f"{self._models.url}/v1/usage",
                headers=headers,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except urllib3.exceptions.HTTPError as problem:
            raise NoBillError(f"{self._models.url} does not answer: {type(problem).__name__}") from None
        try:
            if answer.status != HTTPStatus.OK:
                raise NoBillError(f"{self._models.url} refuses with {answer.status}")
            return self._body(answer)
        except (urllib3.exceptions.HTTPError, OSError) as problem:
            raise NoBillError(f"{self._models.url} breaks off: {type(problem).__name__}") from None
        finally:
            answer.close()

    def _body(self, answer: urllib3.BaseHTTPResponse) -> bytes:
        """No more than an account has, and no longer than it may take, however slowly each piece comes."""
        body, end = bytearray(), time.monotonic() + ASK_SECONDS
        while chunk := answer.read1(_CHUNK):
            body += chunk
            if len(body) > MOST_BYTES:
                raise NoBillError(f"it answers more than {MOST_BYTES} bytes")
            if time.monotonic() > end:
                raise NoBillError("its answer does not end")
        return bytes(body)
