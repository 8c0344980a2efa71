"""One attempt at a provider, by litellm: a question out, an answer with its usage back, or a fault that says what it cost.

litellm translates between OpenAI's form and each provider's. Nothing else of it is used: no callbacks, caches, fallbacks or
retries, since each attempt has to be reserved by itself.
"""

import asyncio
from collections.abc import Mapping
from time import monotonic

from fedwright_agents.gateway import wire
from fedwright_agents.gateway.answers import Answered, answered
from fedwright_agents.gateway.chat import Json
from fedwright_agents.gateway.faults import Fault, fault
from fedwright_agents.gateway.quiet import AsyncHTTPHandler, litellm
from fedwright_agents.gateway.wire import Wire
from fedwright_crds.profiles import ModelProfile, Profiles

DROPPED = ("seed", "logprobs", "top_logprobs")
"""Left out for a provider that does not know them: without them the answer is still one to the question. All else that it
does not know is an error, since an answer without, say, its tools is none."""

NO_KEY = "none"


class Provider:
    """All profiles' endpoints. Made once in a process, inside its event loop."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys
        # Whatever the provider, it is called with a client that notes and bounds.
        litellm.aclient_session = wire.client()
        AsyncHTTPHandler.create_client = lambda *_arguments, **_named: wire.client()

    async def ask(self, profile: ModelProfile, body: Json, seconds: float, seen: Wire) -> Answered:
        """Within so many seconds of the wall clock, whatever the server does. Fault."""
        started = monotonic()
        try:
            async with asyncio.timeout(seconds):
                response = await litellm.acompletion(**self._arguments(profile, body, seconds))
            return answered(response.model_dump(), seen)
        except Fault:
            raise
        except Exception as problem:  # whatever litellm makes of it: `fault` goes by what was seen on the wire
            raise fault(problem, seen, monotonic() - started) from None

    def _arguments(self, profile: ModelProfile, body: Json, seconds: float) -> Json:
        given = body | {"model": profile.model, "timeout": seconds, "num_retries": 0, "max_retries": 0}
        # Tools of ours are functions; litellm looks for MCP servers among them and wants a package for that.
        given["_skip_mcp_handler"] = True
        for name in _unsupported(profile, body):
            del given[name]
        if profile.temperature is not None:
            given["temperature"] = profile.temperature
        if profile.api_base is not None:
            # Else litellm would send to this endpoint the key that it finds in the environment for another.
            given |= {"api_base": profile.api_base, "api_key": NO_KEY}
        if profile.name in self._keys:
            given["api_key"] = self._keys[profile.name]
        return given


def unknown_providers(profiles: Profiles) -> list[str]:
    """What is wrong with each profile whose model litellm does not know how to call."""
    return [
        f"profile {one.name}: model is {one.model}, and {one.model.partition('/')[0]} is no provider that litellm knows;"
        " write openai/ before a model behind an OpenAI-compatible endpoint"
        for one in profiles.profiles
        if not _known(one)
    ]


def _known(profile: ModelProfile) -> bool:
    return profile.model.partition("/")[0] in {str(one.value) for one in litellm.LlmProviders}


def _unsupported(profile: ModelProfile, body: Json) -> list[str]:
    provider, _, model = profile.model.partition("/")
    known = litellm.get_supported_openai_params(model=model, custom_llm_provider=provider) or []
    mute = () if profile.logprobs else ("logprobs", "top_logprobs")
    return [name for name in DROPPED if name in body and (name in mute or name not in known)]
