"""Search profiles: what an administrator says of each way to search the web that a request may name.

As with models, a request names a profile and nothing else of it, and the gateway alone learns its key.
"""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from fedwright_crds.base import Strict, Word
from fedwright_crds.key_source import KeySource, Url, Usd

ProviderId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$", min_length=1, max_length=63)]
Parameter = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$", min_length=1, max_length=63)]
FieldPath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", min_length=1, max_length=255)
]
"""Of JSON: `web.results` is the field `results` of the field `web`."""
Header = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]*$", min_length=1, max_length=63)]
Value = Annotated[str, StringConstraints(pattern=r"^[^\r\n]*$", max_length=255)]


class SearchEndpoint(Strict):
    """A server that answers a GET with JSON, and what its fields are called; the defaults are SearXNG's."""

    url: Url
    query: Parameter = "q"
    """The parameter that the question goes into."""
    parameters: Annotated[dict[Parameter, Value], Field(max_length=16)] = Field(default_factory=dict)
    """Further ones, the same for each search."""
    key_header: Header | None = None
    """Where the key goes, as it is. Absent: `Authorization`, as a bearer."""
    results: FieldPath = "results"
    """The list of results."""
    title: FieldPath = "title"
    link: FieldPath = "url"
    snippet: FieldPath = "content"

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if self.query in self.parameters:
            raise ValueError(f"parameters has {self.query}, where the question goes; remove it, or name another query")
        return self


class SearchProfile(Strict):
    """One way to search the web, and how much of it a request may have."""

    name: Word
    provider: ProviderId | None = None
    """As litellm's search names it, such as tavily or brave."""
    api_base: Url | None = None
    """Of the provider. Absent: its own endpoint."""
    endpoint: SearchEndpoint | None = None
    """In place of a provider."""
    key: KeySource | None = None
    """Absent: the server wants none."""
    most_searches: Annotated[int, Field(ge=1, le=1000)] = 8
    """Of one request, whatever came of them."""
    price_usd: Usd = 0.0
    """Of each attempt that the provider may have worked on."""
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 20.0
    """Of one attempt."""
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    """After the first attempt."""
    requests_per_minute: Annotated[int, Field(ge=1, le=10**6)] | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.provider is None) == (self.endpoint is None):
            raise ValueError("exactly one of provider and endpoint says who searches; write one")
        if self.api_base is not None and self.provider is None:
            raise ValueError("apiBase is a provider's; write the address into endpoint.url")
        if self.endpoint is not None and self.endpoint.key_header is not None and self.key is None:
            raise ValueError(
                f"endpoint.keyHeader is {self.endpoint.key_header}, and there is no key; write where it is"
            )
        return self

    @property
    def attempts(self) -> int:
        return 1 + self.retries

    @property
    def search_seconds(self) -> float:
        """The longest that the gateway takes to answer a search: every attempt, waits between them included."""
        return self.timeout_seconds * self.attempts
