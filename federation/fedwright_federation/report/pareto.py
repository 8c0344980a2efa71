"""Accuracy against bytes uploaded: what each strategy costs, and which none beats in both."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from fedwright_crds.task import Metric
from fedwright_federation.report.canvas import INK, PAPER, blank, drawable, styled, svg_of
from fedwright_federation.report.looks import GREY, Look
from fedwright_federation.report.page import Picture, Section, Table
from fedwright_federation.report.story import Story
from fedwright_federation.report.units import figure as written

WIDE = 4.0
"""From this ratio of greatest to least bytes on, the axis is logarithmic."""

LETTER, LINE = 5.0, 11.0
"""Points of type that a letter and a line of a name take."""


@dataclass(frozen=True)
class Point:
    """Of one strategy: MiB uploaded in all rounds by all clients, accuracy in percent."""

    look: Look
    upload: float
    accuracy: float


def section(story: Story) -> Section | None:
    points = points_of(story)
    if not points:
        return None
    front = front_of(points)
    said = "; ".join(f"{one.look.label}: {one.accuracy:.1f}% for {written(one.upload)} MiB" for one in front)
    with styled():
        svg = svg_of(scatter(points), "pareto")
    return Section(
        id="pareto",
        title="Accuracy against bytes uploaded",
        words=(
            f"Accuracy of {story.model_shown} of the selection split after all rounds, against what all clients together sent. "
            "The stepped line joins the strategies that no other beats in both.",
        ),
        pictures=(Picture(svg, f"Strategies by accuracy and upload. On the Pareto front: {said}."),),
        tables=(_table(points, front),),
    )


def points_of(story: Story) -> list[Point]:
    found = []
    for look, one in story.in_order():
        upload, accuracy = story.measured(one, Metric.UPLOAD_MEBIBYTES), story.measured(one, Metric.ACCURACY)
        if upload is not None and accuracy is not None:
            found.append(Point(look, upload, accuracy * 100))
    return found


def front_of(points: Sequence[Point]) -> list[Point]:
    """Those that no other beats in both, by bytes."""
    front: list[Point] = []
    for one in sorted(points, key=lambda point: (point.upload, -point.accuracy)):
        if not front or one.accuracy > front[-1].accuracy:
            front.append(one)
    return front


def scatter(points: Sequence[Point]) -> Figure:
    figure, (axes,) = blank(3.9)
    front = front_of(points)
    axes.step([one.upload for one in front], [one.accuracy for one in front], where="post", color=INK, linewidth=0.9)
    for one in reversed(points):
        axes.plot(
            one.upload,
            one.accuracy,
            one.look.marker,
            color=one.look.colour,
            markersize=9 if one.look.role else 7,
            markeredgecolor=PAPER,
            markeredgewidth=0.8,
        )
    _scale(axes, [one.upload for one in points])
    axes.set_xlabel("uploaded by all clients in all rounds (MiB)")
    axes.set_ylabel("accuracy (%)")
    axes.margins(x=0.12, y=0.14)
    axes.set_ylim(top=min(axes.get_ylim()[1], 101))
    _labels(axes, [one for one in points if one in front or one.look.colour != GREY or one.look.role])
    return figure


def _scale(axes: Axes, uploads: Sequence[float]) -> None:
    if min(uploads) > 0 and max(uploads) / min(uploads) > WIDE:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def _labels(axes: Axes, points: Sequence[Point]) -> None:
    """A name beside each point, a little above it or as far below as other names push it."""
    edge = axes.transAxes.transform((1, 1))[0] * 72 / axes.figure.dpi
    taken: list[tuple[float, float, float]] = []
    for one in sorted(points, key=lambda point: -point.accuracy):
        x, y = axes.transData.transform((one.upload, one.accuracy)) * 72 / axes.figure.dpi
        reach = LETTER * len(one.look.label)
        side = 1 if x + 8 + reach < edge else -1
        start, end = sorted((x + 8 * side, x + (8 + reach) * side))
        height = min([y + 7, *(other - LINE for low, high, other in taken if low < end and start < high)])
        taken.append((start, end, height))
        axes.annotate(
            drawable(one.look.label),
            (one.upload, one.accuracy),
            xytext=(8 * side, height - y),
            textcoords="offset points",
            ha="left" if side == 1 else "right",
            va="center",
            fontsize=8.5,
            arrowprops={"arrowstyle": "-", "color": one.look.colour, "linewidth": 0.7} if y - height > 8 else None,
        )


def _table(points: Sequence[Point], front: Sequence[Point]) -> Table:
    rows = [
        (one.look.label, f"{one.accuracy:.1f}%", written(one.upload), "yes" if one in front else "")
        for one in sorted(points, key=lambda point: point.upload)
    ]
    head = ("Strategy", "Accuracy", "MiB uploaded", "On the front")
    return Table("Accuracy and bytes on the selection split", head, tuple(rows), frozenset({1, 2}), folded=True)
