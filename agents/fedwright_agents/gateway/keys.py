"""The keys of the profiles, read once at start from where the administrator says that they are."""

import re
from collections.abc import Mapping
from pathlib import Path

from fedwright_crds.profiles import ModelProfile, Profiles

PRINTABLE = re.compile(r"[!-~]{1,4096}")
"""What can stand in a header."""


class MissingKeyError(Exception):
    """Names the profile and the place of its key, never the key."""


def read_keys(profiles: Profiles, folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """By profile, for those that have one. A key's file is named from `folder`, the one of the profiles' file."""
    return {one.name: _key(one, folder, environment) for one in profiles.profiles if one.key is not None}


def _key(profile: ModelProfile, folder: Path, environment: Mapping[str, str]) -> str:
    assert profile.key is not None
    try:
        key = _found(profile, folder, environment).strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is no text"
        raise MissingKeyError(f"profile {profile.name}: the key cannot be read from {profile.key}: {reason}") from None
    if not key:
        raise MissingKeyError(f"profile {profile.name}: the key is missing: {profile.key} is not set or empty; set it")
    if not PRINTABLE.fullmatch(key):
        raise MissingKeyError(f"profile {profile.name}: what {profile.key} holds is no key; it has white space or more")
    return key


def _found(profile: ModelProfile, folder: Path, environment: Mapping[str, str]) -> str:
    assert profile.key is not None
    if profile.key.environment:
        return environment.get(profile.key.environment, "")
    return (folder / str(profile.key.file)).expanduser().read_text()
