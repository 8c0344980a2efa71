"""Which mind stands behind a profile's name. Only the role that is asked for is imported."""

from importlib import import_module
from typing import Any

ROLES = ("plan", "code", "debug", "reflect", "review", "tune")
MINDS = {"catalogue": "fedwright_agents.catalogue_mind"}
"""A package for each profile, with one module of one function for each role, both named by the role."""


class UnknownProfileError(LookupError):
    """No mind has this name."""


def role_of(profile: str, role: str) -> Any:
    """The function behind a role; see `fedwright_agents.roles` for its type. Raises UnknownProfileError."""
    if profile not in MINDS:
        raise UnknownProfileError(f"no mind has the profile {profile!r}; choose one of {', '.join(sorted(MINDS))}")
    return getattr(import_module(f"{MINDS[profile]}.{role}"), role)
