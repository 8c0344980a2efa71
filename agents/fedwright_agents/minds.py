"""Which mind stands behind a profile's name. Only the role that is asked for is imported."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from fedwright_crds.request import CATALOGUE

ROLES = ("plan", "code", "debug", "reflect", "review", "tune")
BY_MODEL = frozenset(ROLES) - {"tune"}
"""Roles that a language model may take; hyperparameters are searched by a sampler whoever proposes strategies."""


class UnknownProfileError(LookupError):
    """No mind has this name for this role."""


def role_of(profile: str, role: str, search: str | None = None) -> Callable[[Any], Any]:
    """The function behind a role; see `fedwright_agents.roles` for its type. Raises UnknownProfileError.

    With a search profile the planner behind a model may also search the web; which one is the allowance's to say.
    """
    if search is not None and (role != "plan" or profile == CATALOGUE):
        raise UnknownProfileError(f"{profile} as role {role} cannot search the web; only a model that plans can")
    if profile == CATALOGUE:
        return _function(f"fedwright_agents.catalogue_mind.{role}", role)
    if role not in BY_MODEL:
        raise UnknownProfileError(f"no model takes the role {role}; set its profile to {CATALOGUE!r}")
    from fedwright_agents.model_mind.gateway_model import GatewayModel

    asked = partial(_function(f"fedwright_agents.model_mind.{role}", role), model=GatewayModel.here(profile))
    if search is None:
        return asked
    from fedwright_agents.model_mind.web import GatewayWeb

    return partial(asked, web=GatewayWeb.here())


def _function(module: str, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
