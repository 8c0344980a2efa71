"""A search server's words as findings: hostile text in, a few short printable lines out. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from fedwright_crds.findings import MOST_RESULTS, Finding, Findings
from fedwright_crds.search_profiles import SearchEndpoint

LONGEST_TITLE, LONGEST_URL, LONGEST_SNIPPET = 100, 250, 320
"""Characters. With marks around them five of the longest are what a tool may say at one time."""
MOST_READ = 100_000
"""Characters of a text that are looked at."""

_WEB = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_MARKUP = re.compile(r'["<>\\^`{|}]')
"""No URL has these unless they are escaped (RFC 3986, section 2)."""

Row = Mapping[str, Any]
"""`title`, `url` and `snippet`, of any type."""


def findings(rows: Iterable[Row]) -> Findings:
    """The first few that have a URL which a person could follow; each URL once."""
    kept: dict[str, Finding] = {}
    for row in rows:
        url = web_url(row.get("url"))
        if url and url not in kept:
            kept[url] = Finding(
                title=printable(row.get("title"), LONGEST_TITLE),
                url=url,
                snippet=printable(row.get("snippet"), LONGEST_SNIPPET),
            )
        if len(kept) == MOST_RESULTS:
            break
    return Findings(results=tuple(kept.values()))


def web_url(text: object) -> str | None:
    """The URL as it is, where it is one of the web, in ASCII, without a password in it, and short enough to be cited whole."""
    if not isinstance(text, str) or len(text) > LONGEST_URL or not _WEB.fullmatch(text) or _MARKUP.search(text):
        return None
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and parts.username is None and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return f"{parts.scheme}{text[len(parts.scheme) :]}" if named else None


def printable(text: object, longest: int) -> str:
    """On one line, without what is not seen; cut where it is too long. Nothing where it is no text."""
    if not isinstance(text, str):
        return ""
    seen = " ".join("".join(c if c.isprintable() else " " for c in text[:MOST_READ]).split())
    return seen if len(seen) <= longest else seen[: longest - 1] + "…"


def rows_of(endpoint: SearchEndpoint, said: object) -> Iterator[Row]:
    """The results in an endpoint's JSON. ValueError where there is no list of them."""
    results = _at(said, endpoint.results)
    if not isinstance(results, list):
        raise ValueError(f"there is no list at {endpoint.results}")
    names = {"title": endpoint.title, "url": endpoint.link, "snippet": endpoint.snippet}
    return ({name: _at(one, path) for name, path in names.items()} for one in results)


def _at(value: object, path: str) -> object:
    """What a path of fields leads to; None where it leads nowhere."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
