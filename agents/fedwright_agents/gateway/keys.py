"""The keys of the profiles, read once at start from where the administrator says that they are."""

import re
from collections.abc import Mapping
from pathlib import Path

from fedwright_crds.key_source import KeySource
from fedwright_crds.profiles import Profiles

PRINTABLE = re.compile(r"[!-~]{1,4096}")
"""What can stand in a header."""


class MissingKeyError(Exception):
    """Names the profile and the place of its key, never the key."""


def read_keys(profiles: Profiles, folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """By profile, for those that have one. A key's file is named from `folder`, the one of the profiles' file."""
    return {name: _key(name, place, folder, environment) for name, place in profiles.key_sources.items()}


def _key(profile: str, place: KeySource, folder: Path, environment: Mapping[str, str]) -> str:
    try:
        key = _found(place, folder, environment).strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is no text"
        raise MissingKeyError(f"profile {profile}: the key cannot be read from {place}: {reason}") from None
    if not key:
        raise MissingKeyError(f"profile {profile}: the key is missing: {place} is not set or empty; set it")
    if not PRINTABLE.fullmatch(key):
        raise MissingKeyError(f"profile {profile}: what {place} holds is no key; it has white space or more")
    return key


def _found(place: KeySource, folder: Path, environment: Mapping[str, str]) -> str:
    if place.environment:
        return environment.get(place.environment, "")
    return (folder / str(place.file)).expanduser().read_text()
