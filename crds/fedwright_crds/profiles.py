"""Profiles: what an administrator says of each language model, and of each way to search the web, that requests may name.

A request names a profile and nothing else of it, so it can send no key elsewhere and raise no limit. The file is read by
the model gateway, which alone learns the keys, and by the control plane, which checks names.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from fedwright_crds.base import KeyedBy, Strict, Word
from fedwright_crds.key_source import KeySource, Url, Usd
from fedwright_crds.manifests import ManifestError, checked, only_document, text_of
from fedwright_crds.request import CATALOGUE
from fedwright_crds.search_profiles import SearchProfile

ModelId = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9_]+/[A-Za-z0-9][-A-Za-z0-9._:/@+]*$", min_length=3, max_length=255)
]


class Price(Strict):
    """USD per million tokens."""

    input_usd: Usd
    output_usd: Usd


class ModelProfile(Strict):
    """One model at one endpoint, and how it is called."""

    name: Word
    model: ModelId
    """As litellm names it: provider/model."""
    api_base: Url | None = None
    """Absent: the provider's own endpoint."""
    key: KeySource | None = None
    """Absent: the endpoint wants none."""
    max_output_tokens: Annotated[int, Field(ge=1, le=10**6)] = 4096
    """The most that a mind may ask for, and what it gets if it asks for nothing; hidden reasoning counts."""
    context_tokens: Annotated[int, Field(ge=256, le=10**8)] = 32768
    """Prompt and answer together."""
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """Of one attempt."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    """After the first attempt."""
    requests_per_minute: Annotated[int, Field(ge=1, le=10**6)] | None = None
    logprobs: bool = False
    """Whether the model tells the log-probabilities of its tokens."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Sent in place of what a mind asks for, to a model that takes one value alone."""
    fallbacks: Annotated[tuple[Word, ...], Field(max_length=8)] = ()
    """Other profiles, tried in this order when this one has failed for good."""
    price: Price | None = None
    """Absent: it costs nothing."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.name.lower() == CATALOGUE:
            raise ValueError(f"name is {self.name}, the mind that needs no model; choose another")
        if self.max_output_tokens >= self.context_tokens:
            raise ValueError(
                f"maxOutputTokens is {self.max_output_tokens:,}, which leaves no room for a prompt in contextTokens"
                f" {self.context_tokens:,}; lower it"
            )
        return self

    @property
    def attempts(self) -> int:
        return 1 + self.retries


class Profiles(Strict):
    """The administrator's file."""

    profiles: Annotated[tuple[ModelProfile, ...], Field(max_length=64), KeyedBy(("name",))]
    search: Annotated[tuple[SearchProfile, ...], Field(max_length=64), KeyedBy(("name",))] = ()
    """Absent: nobody may search the web."""

    @model_validator(mode="after")
    def _fallbacks_lead_on(self) -> Self:
        if not self.profiles:
            raise ValueError("profiles is empty; write at least one")
        for place, profile in enumerate(self.profiles):
            for name in profile.fallbacks:
                if name not in self.by_name:
                    raise ValueError(
                        f"profiles[{place}].fallbacks names {name}, which is no profile; write one of {', '.join(self.by_name)}"
                    )
                if profile.name in self._reached_from(name):
                    raise ValueError(
                        f"profiles[{place}].fallbacks leads by {name} back to {profile.name}; remove {name}"
                    )
        return self

    @model_validator(mode="after")
    def _names_tell_models_from_searches(self) -> Self:
        """Keys and transcripts go by them."""
        for place, one in enumerate(self.search):
            if one.name in self.by_name:
                raise ValueError(f"search[{place}].name is {one.name}, which is a model's; choose another")
        return self

    @cached_property
    def by_name(self) -> dict[str, ModelProfile]:
        return {profile.name: profile for profile in self.profiles}

    @cached_property
    def search_by_name(self) -> dict[str, SearchProfile]:
        return {profile.name: profile for profile in self.search}

    @property
    def key_sources(self) -> dict[str, KeySource]:
        """By profile, for those that have a key."""
        everyone = [(one.name, one.key) for one in self.profiles] + [(one.name, one.key) for one in self.search]
        return {name: key for name, key in everyone if key is not None}

    def chain(self, name: str) -> tuple[ModelProfile, ...]:
        """A profile and all that may be tried after it, each once, in that order. KeyError for an unknown name."""
        return tuple(self.by_name[one] for one in self._reached_from(name))

    def call_seconds(self, name: str) -> float:
        """The longest that the gateway takes to answer a call: every attempt of the chain, waits between them included."""
        return sum(profile.timeout_seconds * profile.attempts for profile in self.chain(name))

    def _reached_from(self, name: str) -> dict[str, None]:
        """Depth first; an ordered set."""
        reached: dict[str, None] = {}
        ahead = [name]
        while ahead:
            one = ahead.pop()
            if one not in reached:
                reached[one] = None
                ahead += reversed(self.by_name[one].fallbacks if one in self.by_name else ())
        return reached


def load_profiles(file: Path) -> Profiles:
    """The profiles of a YAML file. ManifestError has a line for each problem: the place, the field, the reason, the mend."""
    document = only_document(text_of(file), str(file))
    if not isinstance(document.value, dict):
        raise ManifestError([f"{file}: this is no mapping; write profiles and a list of them"])
    return checked(Profiles, document.value, document, str(file))
