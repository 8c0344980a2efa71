"""What the search cost, against its budgets."""

from typing import Any

from fedwright_crds.request import Budgets
from fedwright_federation.report.page import Section, Table
from fedwright_federation.report.story import Story
from fedwright_federation.report.units import ABSENT, figure

NAMES = {
    "candidates": "Candidates",
    "simulatedRounds": "Simulated rounds",
    "works": "Units of work",
    "boxSeconds": "Seconds in boxes",
    "tokens": "Model tokens",
    "moneyUsd": "Money (USD)",
}


def section(story: Story) -> Section | None:
    spent, budgets = story.report.spent, story.report.spec.budgets
    rows = tuple(_row(key, name, spent[key], budgets) for key, name in NAMES.items() if _counted(spent.get(key)))
    if not rows:
        return None
    minds = story.report.spec.minds
    models = {role for role in minds.to_wire().values() if isinstance(role, str)} | set(minds.reviewers)
    by = (
        "the catalogue alone, without any model"
        if models == {"catalogue"}
        else f"the profiles {', '.join(sorted(models))}"
    )
    return Section(
        id="spent",
        title="What the search cost",
        words=(f"Strategies were planned, written and reviewed by {by}.",),
        tables=(Table("Spent, and allowed", ("", "Spent", "Budget", "Share"), rows, frozenset({1, 2, 3})),),
    )


def _counted(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _row(key: str, name: str, value: float, budgets: Budgets) -> tuple[str, ...]:
    allowed = budgets.to_wire().get(key)
    if not allowed:
        return name, figure(value), ABSENT, ABSENT
    return name, figure(value), figure(allowed), f"{value / allowed:.0%}"
