"""Accuracy client by client: who is served badly does not show in a mean."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fedwright_federation.report.canvas import INK, blank, drawable, styled, svg_of
from fedwright_federation.report.looks import Look
from fedwright_federation.report.page import Picture, Section, Table
from fedwright_federation.report.story import Story

MOST_LINES = 5


@dataclass(frozen=True)
class Clients:
    """Of one strategy: accuracy of each client in percent, the worst first."""

    look: Look
    accuracy: NDArray[np.float64]

    @property
    def tenth(self) -> int:
        """How many clients are the worst tenth."""
        return max(1, math.ceil(len(self.accuracy) / 10))

    @property
    def worst(self) -> float:
        return float(self.accuracy[: self.tenth].mean())


def section(story: Story) -> Section | None:
    found = clients_of(story)
    if not found:
        return None
    said = "; ".join(
        f"{one.look.label}: worst tenth {one.worst:.1f}%, mean {one.accuracy.mean():.1f}%" for one in found
    )
    with styled():
        svg = svg_of(ranks(found), "clients")
    return Section(
        id="clients",
        title="Accuracy client by client",
        words=(
            "Each client's model on its own test rows, on the first fresh seed. Clients stand from the worst served to "
            "the best, for each strategy in its own order; the shaded ones are its worst tenth.",
        ),
        pictures=(Picture(svg, f"Clients' accuracies in rising order. {said}."),),
        tables=(_table(found),),
    )


def clients_of(story: Story) -> list[Clients]:
    found = [
        Clients(look, np.sort(np.array(one.per_client, dtype=np.float64)) * 100)
        for look, one in story.in_order()
        if one.per_client
    ]
    baseline = [one for one in found if one.look.baseline]
    others = [one for one in found if not one.look.baseline]
    return [*others[: MOST_LINES - len(baseline)], *baseline]


def ranks(found: Sequence[Clients]) -> Figure:
    figure, (axes,) = blank(3.6)
    most = max(len(one.accuracy) for one in found)
    axes.axvspan(0.5, max(one.tenth for one in found) + 0.5, color=INK, alpha=0.07, linewidth=0)
    for one in reversed(found):
        places = np.arange(1, len(one.accuracy) + 1)
        axes.plot(
            places,
            one.accuracy,
            color=one.look.colour,
            linestyle="--" if one.look.baseline else "-",
            linewidth=1,
            marker=one.look.marker if most <= 120 else "",
            markersize=4.5,
            label=drawable(one.look.label),
        )
    axes.text(0.65, 1.01, "worst tenth", transform=axes.get_xaxis_transform(), fontsize=8, va="bottom", color=INK)
    axes.set_xlabel("client, from the worst served to the best")
    axes.set_ylabel("accuracy on own test rows (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0.5, most + 0.5)
    axes.legend(loc="lower right", reverse=True)
    return figure


def _table(found: Sequence[Clients]) -> Table:
    rows = [
        (
            one.look.label,
            f"{one.worst:.1f}%",
            *(f"{value:.1f}%" for value in np.percentile(one.accuracy, [0, 25, 50, 75, 100])),
            f"{one.accuracy.mean():.1f}%",
        )
        for one in found
    ]
    head = ("Strategy", "Worst tenth", "Lowest", "Lower quartile", "Median", "Upper quartile", "Highest", "Mean")
    return Table("Accuracy over the clients", head, tuple(rows), frozenset(range(1, 8)), folded=True)
