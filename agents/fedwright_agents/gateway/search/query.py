"""What a mind asks of the web."""

from pydantic import BaseModel, ConfigDict, Field

from fedwright_crds.findings import LEAST_QUERY, LONGEST_QUERY


class Query(BaseModel):
    """The body of a search. Which server is asked, and for how many results, is not a mind's to say."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    query: str = Field(min_length=LEAST_QUERY, max_length=LONGEST_QUERY)
