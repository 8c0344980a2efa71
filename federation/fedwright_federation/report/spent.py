"""What the search cost, against its budgets, and which role cost what of it."""

from typing import Any

from fedwright_crds.allowance import Role
from fedwright_crds.request import CATALOGUE, Budgets, Minds
from fedwright_federation.report.page import Section, Table
from fedwright_federation.report.story import Story
from fedwright_federation.report.units import ABSENT, figure

NAMES = {
    "candidates": "Candidates",
    "simulatedRounds": "Simulated rounds",
    "works": "Units of work",
    "boxSeconds": "Seconds in boxes",
    "tokens": "Model tokens",
    "calls": "Calls of models",
    "moneyUsd": "Money (USD)",
}
ROLES = {
    Role.PLAN: "Planner",
    Role.CODE: "Coder",
    Role.DEBUG: "Debugger",
    Role.REFLECT: "Reflector",
    Role.REVIEW: "Reviewers",
}
COSTS = ("calls", "tokens", "moneyUsd", "seconds")


def section(story: Story) -> Section | None:
    spent, budgets = story.report.spent, story.report.spec.budgets
    rows = tuple(_row(key, name, spent[key], budgets) for key, name in NAMES.items() if _counted(spent.get(key)))
    if not rows:
        return None
    minds = story.report.spec.minds
    tables = [Table("Spent, and allowed", ("", "Spent", "Budget", "Share"), rows, frozenset({1, 2, 3}))]
    if minds.models:
        head = ("Role", "Who stood behind it", "Calls", "Tokens", "USD", "Seconds")
        tables.append(Table("Models, by role", head, _by_role(spent, minds), frozenset({2, 3, 4, 5})))
    return Section(id="spent", title="What the search cost", words=(_who(minds),), tables=tuple(tables))


def _who(minds: Minds) -> str:
    models = sorted(set(minds.models.values()))
    if not models:
        return "No model was asked: strategies were planned, written and reviewed by the catalogue alone."
    return (
        f"Strategies were planned, written and reviewed with the model profiles {', '.join(models)}. Each attempt at a "
        "model counts as a call, those that failed too; seconds are those of waiting for it, added over parallel calls."
    )


def _by_role(spent: dict[str, Any], minds: Minds) -> tuple[tuple[str, ...], ...]:
    """A row for each role, and one for all."""
    costs = {one["role"]: one for one in spent.get("roles", ())}
    rows = [(name, _behind(minds, role), *_figures(costs.get(role))) for role, name in ROLES.items()]
    total = {key: sum(one[key] for one in costs.values()) for key in COSTS} if costs else None
    return *rows, ("All", "", *_figures(total))


def _behind(minds: Minds, role: Role) -> str:
    who = {
        Role.PLAN: (minds.planner,),
        Role.CODE: (minds.coder,),
        Role.DEBUG: (minds.debugger,),
        Role.REFLECT: (minds.reflector,),
        Role.REVIEW: minds.reviewers or (CATALOGUE,),
    }
    return ", ".join(dict.fromkeys(who[role]))


def _figures(costs: dict[str, Any] | None) -> tuple[str, ...]:
    """Absent: this role asked no model."""
    return tuple(figure(costs[key]) if costs else ABSENT for key in COSTS)


def _counted(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _row(key: str, name: str, value: float, budgets: Budgets) -> tuple[str, ...]:
    allowed = budgets.to_wire().get(key)
    if not allowed:
        return name, figure(value), ABSENT, ABSENT
    return name, figure(value), figure(allowed), f"{value / allowed:.0%}"
