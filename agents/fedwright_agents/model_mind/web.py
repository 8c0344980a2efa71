"""The web, as a planner may search it: through the gateway alone, and told as the quoted words of strangers."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import httpx
from pydantic import ValidationError

from fedwright_agents.knowledge.quoting import quoted
from fedwright_agents.model_mind.model import GATEWAY_AWAY, ModelError
from fedwright_crds.box import Box
from fedwright_crds.findings import Finding, Findings

CONNECT_SECONDS = 10.0
PASSING = frozenset({"budget_exhausted", "timeout", "rate_limited", "provider_error", "bad_request", GATEWAY_AWAY})
"""Why a plan may have to do without the web. All else is a mistake in how things are set up, or a recording that lacks it."""


class Web(Protocol):
    def search(self, query: str) -> Findings:
        """Raises ModelError with the gateway's code."""
        ...


@dataclass(frozen=True)
class GatewayWeb:
    """By the search profile that the allowance names."""

    url: str
    token: str

    @classmethod
    def here(cls) -> "GatewayWeb":
        """As this box was given it. Raises ModelError where it was given none."""
        try:
            said = json.loads(Box.here().secret("gateway.json").read_text())
            return cls(said["url"], said["token"])
        except (OSError, ValueError, KeyError) as error:
            raise ModelError("no_gateway", "this box was given no model gateway to search the web by") from error

    @cached_property
    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=httpx.Timeout(None, connect=CONNECT_SECONDS), trust_env=False)

    def search(self, query: str) -> Findings:
        try:
            answer = self._client.post(
                "/v1/search", json={"query": query}, headers={"authorization": f"Bearer {self.token}"}
            )
        except httpx.HTTPError as error:
            raise ModelError(GATEWAY_AWAY, f"the model gateway does not answer: {type(error).__name__}") from error
        if answer.status_code != httpx.codes.OK:
            raise _refusal(answer)
        try:
            return Findings.model_validate_json(answer.content)
        except ValidationError as error:
            raise ModelError("bad_answer", "the gateway's answer is no list of search results") from error


def _refusal(answer: httpx.Response) -> ModelError:
    try:
        said = answer.json()["error"]
        return ModelError(str(said["code"]), str(said["message"])[:1000])
    except (ValueError, KeyError, TypeError):
        return ModelError(str(answer.status_code), "the model gateway refused a search without a reason")


def told(web: Web, query: str, longest: int) -> str:
    """What a search has found, quoted, in at most so many characters; or that there is nothing, and why.

    Of a failure the code alone is told: its words are a server's.
    """
    try:
        found = web.search(query).results
    except ModelError as error:
        if error.code not in PASSING:
            raise
        return f"The web cannot be searched for this ({error.code}). Plan without it."
    return _fitting([_told(one) for one in found], longest) or "The search has found nothing. Try other words, or none."


def _told(one: Finding) -> str:
    return f"{one.title}\n{one.snippet}\nSource: {one.url}"


def _fitting(texts: list[str], longest: int) -> str:
    """As many of the first as fit whole: a quotation that is cut has no end."""
    while len(text := quoted(texts)) > longest:
        texts = texts[:-1]
    return text
