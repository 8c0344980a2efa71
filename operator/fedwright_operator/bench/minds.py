"""Who solves: a profile for all roles, or one for each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fedwright_crds.base import canonical, digest_of
from fedwright_crds.request import CATALOGUE, Minds

ROLES = ("planner", "coder", "debugger", "reflector", "reviewer")
LONGEST_SLUG = 24


class MindError(Exception):
    """A word that names no mind: what was given, the reason, the mend."""


@dataclass(frozen=True)
class Mind:
    label: str
    """As it was asked for, such as `fast` or `planner=fast`."""
    minds: Minds

    @property
    def slug(self) -> str:
        """Its part of the name of a request: the label where that may stand there, else short and as good as unique."""
        if re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", self.label) and len(self.label) <= LONGEST_SLUG:
            return self.label
        return f"mind-{digest_of(canonical([self.label, self.minds.to_wire()]))[7:15]}"


def of_profile(profile: str) -> Mind:
    """One model, or the catalogue, behind all five roles."""
    if profile == CATALOGUE:
        return Mind(CATALOGUE, Minds())
    return mixed([f"{role}={profile}" for role in ROLES], label=profile)


def mixed(pairs: Sequence[str], label: str = "") -> Mind:
    """`role=profile` for each role that is not the catalogue's; reviewer may come several times. Raises MindError."""
    given: dict[str, list[str]] = {}
    for pair in pairs:
        role, equals, profile = pair.partition("=")
        if not equals or not profile or role not in ROLES:
            raise MindError(f"{pair!r} is not ROLE=PROFILE; roles are {', '.join(ROLES)}")
        if role in given and role != "reviewer":
            raise MindError(f"{role} is given twice; only reviewer may be")
        given.setdefault(role, []).append(profile)
    reviewers = given.pop("reviewer", [])
    fields = {role: profiles[0] for role, profiles in given.items()}
    try:
        minds = Minds.model_validate_json(canonical({**fields, "reviewers": reviewers}))
    except ValueError:
        raise MindError(f"{', '.join(pairs)}: a profile's name is a word, and there are at most 9 reviewers") from None
    return Mind(label or ",".join(pairs), minds)
