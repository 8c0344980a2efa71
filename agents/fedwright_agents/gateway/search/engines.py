"""One attempt at a search server, by litellm or by a plain GET: a question out, findings back, or a fault."""

import asyncio
from collections.abc import Iterable, Mapping
from time import monotonic

import httpx

from fedwright_agents.gateway import wire
from fedwright_agents.gateway.faults import Fault, fault
from fedwright_agents.gateway.quiet import litellm
from fedwright_agents.gateway.search.reading import Row, findings, rows_of
from fedwright_agents.gateway.wire import Wire
from fedwright_crds.findings import MOST_RESULTS, Findings
from fedwright_crds.profiles import Profiles
from fedwright_crds.search_profiles import SearchEndpoint, SearchProfile

WANT_MORE = {
    "google_pse": "a search engine's id beside its key",
    "agentcore": "the signatures of an AWS account",
    "bing_grounding": "an Azure project",
}
"""Providers of litellm's that one key and one address do not reach."""


class Engines:
    """All profiles' servers. Made once in a process, inside its event loop and after `Provider`, which gives litellm's searches
    the client that notes and bounds."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self._client = wire.client()

    async def ask(self, profile: SearchProfile, query: str, seconds: float, seen: Wire) -> Findings:
        """Within so many seconds of the wall clock, whatever the server does. Fault."""
        started = monotonic()
        try:
            async with asyncio.timeout(seconds):
                return findings(await self._rows(profile, query, seconds))
        except Exception as problem:  # whatever litellm makes of it: `fault` goes by what was seen on the wire
            raise _fault(problem, seen, monotonic() - started) from None

    async def _rows(self, profile: SearchProfile, query: str, seconds: float) -> Iterable[Row]:
        if profile.endpoint is not None:
            return await self._of_endpoint(profile.endpoint, self._keys.get(profile.name), query)
        response = await litellm.asearch(
            query=query,
            search_provider=profile.provider,
            max_results=MOST_RESULTS,
            api_key=self._keys.get(profile.name),
            api_base=profile.api_base,
            timeout=seconds,
        )
        return [one.model_dump() for one in response.results]

    async def _of_endpoint(self, endpoint: SearchEndpoint, key: str | None, query: str) -> Iterable[Row]:
        headers = {"accept": "application/json"}
        if key is not None:
            headers |= {endpoint.key_header: key} if endpoint.key_header else {"authorization": f"Bearer {key}"}
        parameters = {**endpoint.parameters, endpoint.query: query}
        response = await self._client.get(endpoint.url, params=parameters, headers=headers)
        return rows_of(endpoint, response.raise_for_status().json())


def host_of(profile: SearchProfile) -> str | None:
    """Host and port that alone may be asked; None where the provider's own endpoint is."""
    named = profile.endpoint.url if profile.endpoint else profile.api_base
    return httpx.URL(named).netloc.decode() if named else None


def unknown_searches(profiles: Profiles) -> list[str]:
    """What is wrong with each search profile whose provider cannot be asked."""
    known = [one.value for one in litellm.types.utils.SearchProviders if one.value not in WANT_MORE]
    return [
        f"search profile {one.name}: provider is {one.provider}, {_why(one.provider)}; write one of {', '.join(known)},"
        " or name an endpoint"
        for one in profiles.search
        if one.provider is not None and one.provider not in known
    ]


def _why(provider: str) -> str:
    return f"which wants {WANT_MORE[provider]}" if provider in WANT_MORE else "which litellm does not know"


def _fault(problem: Exception, seen: Wire, seconds: float) -> Fault:
    found = fault(problem, seen, seconds, "search results")
    # Every search goes through our client, so what it has not seen was not asked.
    found.processed = found.processed and bool(seen.endpoint)
    return found
