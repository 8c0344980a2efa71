"""The seam behind which another mind fits: a profile names a package, with one function of a role's type in each module."""

from inspect import signature
from typing import get_type_hints

import pytest

from fedwright_agents import minds, roles

PROTOCOLS = {
    "plan": roles.Planner,
    "code": roles.Coder,
    "debug": roles.Debugger,
    "reflect": roles.Reflector,
    "review": roles.Reviewer,
    "tune": roles.Tuner,
}


@pytest.mark.parametrize("profile", sorted(minds.MINDS))
@pytest.mark.parametrize("role", minds.ROLES)
def test_every_mind_has_each_role_with_its_documents(profile: str, role: str) -> None:
    function, protocol = minds.role_of(profile, role), PROTOCOLS[role].__call__
    assert list(get_type_hints(function).values()) == list(get_type_hints(protocol).values())
    assert len(signature(function).parameters) == 1


def test_there_is_no_role_without_a_type() -> None:
    assert set(PROTOCOLS) == set(minds.ROLES)
