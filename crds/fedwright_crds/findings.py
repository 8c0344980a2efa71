"""What a search of the web has found, as the gateway tells it: a few results, each a title, a URL and some of the text.

All of it was written by strangers. It is data wherever it stands.
"""

from typing import Annotated

from pydantic import Field, StringConstraints

from fedwright_crds.base import Strict

MOST_RESULTS = 5
LEAST_QUERY, LONGEST_QUERY = 3, 300
"""Characters."""

WebUrl = Annotated[str, StringConstraints(pattern=r"^https?://[!-~]+$", max_length=512)]


class Finding(Strict):
    title: Annotated[str, StringConstraints(max_length=256)]
    url: WebUrl
    snippet: Annotated[str, StringConstraints(max_length=1024)]


class Findings(Strict):
    """The best first."""

    results: Annotated[tuple[Finding, ...], Field(max_length=MOST_RESULTS)] = ()
