"""Accuracy by round: a line for each strategy that met the test split, with a band over the seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fedwright_federation.report.canvas import blank, label_ends, styled, svg_of
from fedwright_federation.report.looks import Look
from fedwright_federation.report.page import Picture, Section, Table
from fedwright_federation.report.story import Story
from fedwright_federation.report.units import ABSENT

MOST_LINES = 8


@dataclass(frozen=True)
class Course:
    """Of one strategy: `accuracy` [seeds, rounds], in percent."""

    look: Look
    rounds: NDArray[np.int64]
    accuracy: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = self.accuracy.mean(axis=0)
        return mean

    @property
    def spread(self) -> NDArray[np.float64]:
        """Standard deviation over seeds; none of one seed."""
        alone = len(self.accuracy) == 1
        return np.zeros_like(self.mean) if alone else self.accuracy.std(axis=0, ddof=1)


def section(story: Story) -> Section | None:
    courses = courses_of(story)
    if not courses:
        return None
    seeds = max(len(one.accuracy) for one in courses)
    said = "; ".join(f"{one.look.label} ends at {one.mean[-1]:.1f}%" for one in courses)
    with styled():
        svg = svg_of(lines(courses), "rounds")
    return Section(
        id="rounds",
        title="Accuracy by round",
        words=(
            f"Accuracy of {story.model_shown} of the test split. Lines are means over {seeds} fresh seeds, "
            "bands one standard deviation to each side.",
        ),
        pictures=(Picture(svg, f"Lines of accuracy by round. {said}."),),
        tables=(_table(courses),),
    )


def courses_of(story: Story) -> list[Course]:
    """Only rounds at which every seed was evaluated."""
    found: list[Course] = []
    for look, one in story.in_order():
        if len(found) == MOST_LINES:
            break
        curves = [{point.round: story.accuracy(point) for point in curve} for curve in one.curves if curve]
        rounds = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
        if rounds:
            accuracy = np.array([[curve[number] * 100 for number in rounds] for curve in curves], dtype=np.float64)
            found.append(Course(look, np.array(rounds, dtype=np.int64), accuracy))
    return found


def lines(courses: Sequence[Course]) -> Figure:
    figure, (axes,) = blank(3.7)
    for one in reversed(courses):
        style = "--" if one.look.baseline else "-"
        marker = one.look.marker if len(one.rounds) <= 12 else ""
        axes.plot(one.rounds, one.mean, color=one.look.colour, linestyle=style, marker=marker, markersize=4)
        low, high = one.mean - one.spread, np.minimum(100, one.mean + one.spread)
        axes.fill_between(one.rounds, low, high, color=one.look.colour, alpha=0.16, linewidth=0)
    axes.set_xlabel("round")
    axes.set_ylabel("accuracy (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.01)
    label_ends(axes, [(float(one.mean[-1]), one.look.label, one.look.colour) for one in courses])
    return figure


def _table(courses: Sequence[Course]) -> Table:
    rounds = sorted({int(number) for one in courses for number in one.rounds})
    shown = [rounds[i] for i in sorted({round(i) for i in np.linspace(0, len(rounds) - 1, min(len(rounds), 12))})]
    return Table(
        "Mean accuracy ± standard deviation over the seeds",
        ("Round", *(one.look.label for one in courses)),
        tuple((str(number), *(_cell(one, number) for one in courses)) for number in shown),
        frozenset(range(len(courses) + 1)),
        folded=True,
    )


def _cell(one: Course, number: int) -> str:
    (found,) = np.nonzero(one.rounds == number)
    return f"{one.mean[found[0]]:.1f} ± {one.spread[found[0]]:.1f}%" if found.size else ABSENT
