"""What was tried, from which thought, and why it lost."""

from fedwright_crds.candidate import Part
from fedwright_crds.documents import CandidateOutcome, Comparison
from fedwright_federation.report.compared import comparisons
from fedwright_federation.report.looks import Look, clean, short
from fedwright_federation.report.page import Section, Table
from fedwright_federation.report.story import Story
from fedwright_federation.report.units import probability, unit_of, values

MOST_LETTERS = 400
"""Of a hypothesis or a reason; the whole text is in the candidate itself."""

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
    return (
        f"{clean(one.title)}\n{one.name}",
        f"{one.method}, {ORIGINS[one.origin]}",
        "\n".join(_part(part) for part in one.parts) or "as the recipe has them",
        _hypothesis(one),
        values(one.best or one.fixed),
        story.objective.value(one.score),
        _fate(look, one, story),
    )


def _hypothesis(one: CandidateOutcome) -> str:
    """With what the code does otherwise, where its author said so."""
    planned = short(clean(one.hypothesis), MOST_LETTERS)
    return f"{planned}\nWritten otherwise: {short(clean(one.deviation), MOST_LETTERS)}" if one.deviation else planned


def _fate(look: Look, one: CandidateOutcome, story: Story) -> str:
    """How far it came and why no further; for finalists also what the fresh seeds said."""
    reason = short(clean(one.reason), MOST_LETTERS)
    lines = [f"{look.role or one.phase}: {reason}" if reason else look.role or one.phase]
    for found in comparisons(story.report.decision) if story.report.decision else ():
        if found.candidate == one.name and found.reference == story.baseline:
            lines.append(_on_fresh_seeds(found))
    return "\n".join(lines)


def _on_fresh_seeds(found: Comparison) -> str:
    unit = unit_of(found.metric)
    if found.margin is None:
        said = "better" if found.holds else "not proven better"
    else:
        said = "within the margin" if found.holds else "not proven to be within the margin"
    return f"Fresh seeds: {unit.name} {said} ({unit.difference(found.difference)}, {probability(found.p)})."


def _part(part: Part) -> str:
    reason = clean(part.reason)
    return f"{part.slot}: {part.name}{f' ({reason})' if reason else ''}"
