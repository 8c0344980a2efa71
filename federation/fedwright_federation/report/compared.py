"""Finalists against the baseline: the differences with their intervals, for the objective and for each constraint."""

from collections.abc import Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedwright_crds.documents import Comparison, Decision
from fedwright_federation.report.canvas import INK, drawable, stacked, styled, svg_of
from fedwright_federation.report.page import Picture, Section, Table
from fedwright_federation.report.story import Story
from fedwright_federation.report.units import ABSENT, figure, metric_of, percent, probability, unit_of


def section(story: Story) -> Section | None:
    decision = story.report.decision
    if decision is None or not (rows := comparisons(decision)):
        return None
    words = [
        "Differences are those of the same seeds: candidate minus reference. Bars are "
        f"{percent(rows[0].level)} intervals of the mean difference. Filled marks are proven, hollow ones are not."
    ]
    if decision.constraints:
        words.append(
            "A constraint is tested from one side: the candidate must not be worse by more than its margin, the dotted line."
        )
    return Section(
        id="compared",
        title="Finalists against tuned FedAvg",
        words=tuple(words),
        pictures=(Picture(_drawn(rows, story), _alt(rows, story)),),
        tables=(_table(rows, story),),
    )


def comparisons(decision: Decision) -> list[Comparison]:
    """In the order of the report: the objective, the best of the catalogue, the constraints."""
    against = [decision.against_catalogue] if decision.against_catalogue else []
    return [*decision.objective, *against, *decision.constraints]


def forest(rows: Sequence[Comparison], story: Story) -> Figure:
    """A line for each comparison, one metric below the other."""
    panels = [list(group) for _, group in groupby(rows, key=lambda one: (one.metric, one.margin is not None))]
    made, axes = stacked([0.78 + 0.4 * len(panel) for panel in panels])
    for one, panel in zip(axes, panels, strict=True):
        _panel(one, panel, story)
    return made


def _panel(axes: Axes, rows: Sequence[Comparison], story: Story) -> None:
    unit, better = unit_of(rows[0].metric), metric_of(rows[0].metric).higher_is_better
    for height, one in enumerate(reversed(rows)):
        look = story.looks.get(one.candidate)
        colour, marker = (look.colour, look.marker) if look else (INK, "o")
        axes.plot([unit.scaled(one.low), unit.scaled(one.high)], [height] * 2, color=colour, linewidth=2.4)
        face = colour if one.holds else "none"
        middle = unit.scaled(one.difference)
        axes.plot(middle, height, marker, color=colour, markerfacecolor=face, markersize=7, markeredgewidth=1.6)
        if one.margin is not None:
            limit = unit.scaled(-one.margin if better else one.margin)
            axes.plot([limit] * 2, [height - 0.4, height + 0.4], color=INK, linewidth=1.4, linestyle=":")
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [drawable(_row(one, story)) for one in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    margin = "" if rows[0].margin is None else ", must stay within the margin"
    axes.set_title(f"{unit.name}{margin}")
    axes.set_xlabel(f"difference{unit.of_difference}, {'better →' if better else '← better'}")
    axes.spines["left"].set_visible(False)


def _row(one: Comparison, story: Story) -> str:
    reference = story.looks.get(one.reference)
    against = "" if reference is None or reference.baseline else f"\nvs {reference.label}"
    return f"{story.label(one.candidate)}{against}"


def _drawn(rows: Sequence[Comparison], story: Story) -> str:
    with styled():
        return svg_of(forest(rows, story), "compared")


def _alt(rows: Sequence[Comparison], story: Story) -> str:
    said = [
        f"{story.label(one.candidate)} against {story.label(one.reference)}, {unit_of(one.metric).name}: "
        f"{unit_of(one.metric).difference(one.difference)}, interval "
        f"{unit_of(one.metric).interval(one.low, one.high)}"
        for one in rows
    ]
    return f"Differences with their intervals. {'; '.join(said)}."


def _table(rows: Sequence[Comparison], story: Story) -> Table:
    head = (
        "Candidate",
        "Reference",
        "Metric",
        "Candidate",
        "Reference",
        "Difference",
        "Interval",
        "Margin",
        "Test",
        "",
    )
    return Table("The comparisons", head, tuple(_cells(one, story) for one in rows), frozenset({3, 4, 5, 6, 7, 8}))


def _cells(one: Comparison, story: Story) -> tuple[str, ...]:
    unit = unit_of(one.metric)
    margin = ABSENT if one.margin is None else unit.difference(one.margin).removeprefix("+")
    holds = (
        ("superior" if one.holds else "not superior") if one.margin is None else ("holds" if one.holds else "not shown")
    )
    return (
        story.label(one.candidate),
        story.label(one.reference),
        one.metric,
        unit.value(one.candidate_value),
        unit.value(one.reference_value),
        unit.difference(one.difference),
        unit.interval(one.low, one.high),
        margin,
        f"{probability(one.p)}, {one.fresh_seeds} seeds (sign flips {figure(one.p_sign_flip)})",
        holds,
    )
