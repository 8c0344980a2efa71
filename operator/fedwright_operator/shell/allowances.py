"""What a mind behind a model is given: the gateway's address, and an allowance that names the budgets it may draw on."""

import json
import time
from collections.abc import Mapping

from fedwright_crds.allowance import Allowance, Limits, Role, sign
from fedwright_crds.request import CATALOGUE, FLStrategyRequest
from fedwright_crds.work import BoxKind, Step, Work

ALLOWED_SECONDS = 60.0
"""How much longer than its work an allowance lasts."""


def profile_of(step: Step) -> str | None:
    """The model profile behind a step; None where there is no model."""
    profile = step.program[1] if step.box is BoxKind.MIND and len(step.program) > 1 else CATALOGUE
    return None if profile == CATALOGUE else profile


def search_of(step: Step) -> str | None:
    """The profile by which the model behind a step may search the web; None where it may not."""
    return step.program[2] if profile_of(step) is not None and len(step.program) > 2 else None


def given(allowance: Allowance, url: str, secret: bytes) -> Mapping[str, bytes]:
    """The step's secret files."""
    return {"gateway.json": json.dumps({"url": url, "token": sign(allowance, secret)}).encode()}


def allowance_to_ask(request: FLStrategyRequest) -> Allowance:
    """To be told what this request was charged. No model answers it: it may spend nothing."""
    nothing = Limits(tokens=0, money_usd=0, calls=0, seconds=0)
    return Allowance(
        request_uid=request.metadata.uid or "",
        namespace=request.metadata.namespace,
        name=request.metadata.name,
        role=Role.PLAN,
        profile=next(iter(request.spec.minds.models.values())),
        work_id="report",
        request_limits=nothing,
        role_limits=nothing,
        expires_at=int(time.time() + ALLOWED_SECONDS),
    )


def allowance_for(
    work: Work, step: Step, request: FLStrategyRequest, candidate: str | None, start_seconds: float = 0.0
) -> Allowance:
    """For one step of a work of this request, which may take `start_seconds` until it begins."""
    role, budgets = Role(work.kind), request.spec.budgets
    profile = profile_of(step)
    assert profile is not None, "only a step behind a model has an allowance"
    limits = Limits(tokens=budgets.tokens, money_usd=budgets.money_usd or None, calls=budgets.calls or None)
    return Allowance(
        request_uid=request.metadata.uid or "",
        namespace=request.metadata.namespace,
        name=request.metadata.name,
        role=role,
        profile=profile,
        search=search_of(step),
        work_id=work.id,
        candidate=candidate,
        request_limits=limits,
        role_limits=getattr(request.spec.minds.limits, role),
        expires_at=int(time.time() + start_seconds + step.wall_seconds + ALLOWED_SECONDS),
    )
