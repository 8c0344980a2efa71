"""What was tried, from which thought, and why it lost."""

from fedwright_crds.candidate import Part
from fedwright_crds.documents import CandidateOutcome
from fedwright_federation.report.looks import Look, clean
from fedwright_federation.report.page import Section, Table
from fedwright_federation.report.story import Story
from fedwright_federation.report.units import values

ORIGINS = {"Baseline": "baseline", "Plan": "planned first", "Proposal": "proposed on the way"}


def section(story: Story) -> Section:
    head = ("Strategy", "From", "Parts", "Hypothesis", "Hyperparameters", "Score", "What became of it")
    rows = tuple(_row(look, one.outcome, story) for look, one in story.in_order())
    unit = story.objective
    return Section(
        id="tried",
        title="What was tried, and why it lost",
        words=(
            f"The score is {unit.name} on the selection split after all rounds, the mean over the selection seeds.",
        ),
        tables=(Table("Every strategy, the most important first", head, rows, frozenset({5})),),
    )


def _row(look: Look, one: CandidateOutcome, story: Story) -> tuple[str, ...]:
    fate = clean(one.reason)
    end = look.role if look.role in {"winner", "baseline"} else one.phase
    return (
        f"{clean(one.title)}\n{one.name}",
        f"{one.method}, {ORIGINS[one.origin]}",
        "\n".join(_part(part) for part in one.parts) or "as the recipe has them",
        clean(one.hypothesis),
        values(one.best or one.fixed),
        story.objective.value(one.score),
        f"{end}: {fate}" if fate else end,
    )


def _part(part: Part) -> str:
    reason = clean(part.reason)
    return f"{part.slot}: {part.name}{f' ({reason})' if reason else ''}"
