"""Hyperparameter trials: how many each strategy had, and how much they mattered."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from fedwright_crds.candidate import TrialScore
from fedwright_crds.documents import ReportCandidate
from fedwright_federation.report.canvas import INK, blank, drawable, styled, svg_of
from fedwright_federation.report.looks import Look
from fedwright_federation.report.page import Picture, Section, Table
from fedwright_federation.report.story import Story
from fedwright_federation.report.units import Unit, values

Tuned = list[tuple[Look, ReportCandidate]]


MOST_STRIPS, MOST_DOTS, MOST_ROWS = 16, 64, 400
"""So many strategies, trials of each (the last), and rows of the table (the first) are shown."""


def section(story: Story) -> Section | None:
    tuned = [(look, one) for look, one in story.in_order() if one.outcome.trials]
    shown = [(look, one) for look, one in tuned if _measured(one.outcome.trials)][:MOST_STRIPS]
    if not tuned:
        return None
    said = "; ".join(f"{look.label}: {len(_measured(one.outcome.trials))} trials" for look, one in shown)
    pictures: tuple[Picture, ...] = ()
    if shown:
        with styled():
            pictures = (Picture(svg_of(strips(shown, story.objective), "tuning"), f"Trials by their value. {said}."),)
    return Section(
        id="tuning",
        title="Tuning trials",
        words=(
            "A dot for each trial on the selection split: hollow after the rounds of the first rung, filled after all rounds. "
            "Every strategy, FedAvg included, was granted the same number of trials.",
        ),
        pictures=pictures,
        tables=(_table(tuned, story.objective),),
    )


def strips(shown: Tuned, unit: Unit) -> Figure:
    figure, (axes,) = blank(0.8 + 0.26 * len(shown))
    most = max(trial.rounds for _, one in shown for trial in one.outcome.trials)
    for height, (look, one) in enumerate(reversed(shown)):
        found = _measured(one.outcome.trials)[-MOST_DOTS:]
        jitter = 0.13 * np.sin(2.4 * np.arange(len(found)))
        full = np.array([trial.rounds == most for trial in found], dtype=bool)
        at = np.array([unit.scaled(trial.value or 0.0) for trial in found])
        for chosen, face in ((full, look.colour), (~full, "none")):
            axes.plot(
                at[chosen],
                (height + jitter)[chosen],
                "o",
                color=look.colour,
                markerfacecolor=face,
                markersize=5,
                markeredgewidth=1.1,
            )
    axes.set_yticks(range(len(shown)), [drawable(look.label) for look, _ in reversed(shown)])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(unit.axis)
    axes.xaxis.label.set_color(INK)
    return figure


def _measured(trials: Sequence[TrialScore]) -> list[TrialScore]:
    return [trial for trial in trials if trial.value is not None]


def _table(tuned: Tuned, unit: Unit) -> Table:
    rows = [
        (
            look.label,
            values(trial.hyperparameters),
            str(trial.rounds),
            str(trial.seed),
            unit.value(trial.value),
            trial.failure,
        )
        for look, one in tuned
        for trial in one.outcome.trials
    ]
    head = ("Strategy", "Hyperparameters", "Rounds", "Seed", unit.name.capitalize(), "Failure")
    caption = "Every trial" if len(rows) <= MOST_ROWS else f"The first {MOST_ROWS} of {len(rows):,} trials"
    return Table(caption, head, tuple(rows[:MOST_ROWS]), frozenset({2, 3, 4}), folded=True)
