"""What a request has cost, with the share of each role, as reports and results tell it. Pure.

Minds say what they used when they have answered; the gateway charges the rest too: calls that failed, works that died. So
its sums are told wherever it was asked.
"""

from collections.abc import Mapping
from typing import Any

from fedwright_crds.allowance import Role
from fedwright_crds.meta import Spent
from fedwright_crds.transcript import Charge

NANO, MILLI = 10**9, 10**3
Charged = Mapping[Role, Charge]
"""By role; a role that asked no model is not in it."""


def with_roles(spent: Spent, charged: Charged) -> dict[str, Any]:
    """`spent` as it is written, `roles` beside the rest; an empty list where no model was asked."""
    told = spent.to_wire() | {"roles": [{"role": str(role), **_figures(one)} for role, one in charged.items()]}
    if charged:
        total = _figures(sum(charged.values(), Charge()))
        told |= {key: total[key] for key in ("calls", "tokens", "moneyUsd")}
    return told


def _figures(one: Charge) -> dict[str, int | float]:
    return {
        "calls": one.calls,
        "tokens": one.tokens,
        "moneyUsd": one.nano_usd / NANO,
        "seconds": one.milliseconds / MILLI,
    }
