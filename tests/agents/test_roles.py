"""The seam behind which another mind fits: a role is a function from its document to its answer, whoever stands behind it."""

from importlib import import_module
from inspect import signature
from typing import get_type_hints

import pytest

from fedwright_agents import minds, roles
from fedwright_agents.model_mind.model import Model
from fedwright_agents.model_mind.web import Web
from fedwright_crds.request import CATALOGUE

PROTOCOLS = {
    "plan": roles.Planner,
    "code": roles.Coder,
    "debug": roles.Debugger,
    "reflect": roles.Reflector,
    "review": roles.Reviewer,
    "tune": roles.Tuner,
}


@pytest.mark.parametrize("role", minds.ROLES)
def test_the_catalogue_has_each_role_with_its_documents(role: str) -> None:
    function, protocol = minds.role_of(CATALOGUE, role), PROTOCOLS[role].__call__
    assert list(get_type_hints(function).values()) == list(get_type_hints(protocol).values())
    assert len(signature(function).parameters) == 1


@pytest.mark.parametrize("role", sorted(minds.BY_MODEL))
def test_a_model_takes_a_role_with_the_same_documents(role: str) -> None:
    function = getattr(import_module(f"fedwright_agents.model_mind.{role}"), role)
    types, protocol = get_type_hints(function), PROTOCOLS[role].__call__
    assert types.pop("model") is Model
    assert types.pop("web", None) == (Web | None if role == "plan" else None)
    assert list(types.values()) == list(get_type_hints(protocol).values())


def test_no_model_searches_hyperparameters() -> None:
    with pytest.raises(minds.UnknownProfileError, match="catalogue"):
        minds.role_of("some-model", "tune")


def test_there_is_no_role_without_a_type() -> None:
    assert set(PROTOCOLS) == set(minds.ROLES)
