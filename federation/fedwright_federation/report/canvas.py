"""Drawing: one style for all pictures, and figures as SVG that follows the page's colours.

Text stays text; ink and paper are those of the page, so that a picture is legible in the dark and on paper.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.typing import RcKeyType

INK, PAPER = "#010101", "#fefefe"
"""Stand for the page's own colours until the SVG is written."""

WIDTH = 7.4
"""Inches."""

STYLE: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "grid.color": INK,
    "grid.alpha": 0.14,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "fedwright",
}


@contextmanager
def styled() -> Iterator[None]:
    with mpl.rc_context(STYLE):
        yield


def blank(height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with axes side by side."""
    figure = Figure(figsize=(WIDTH, height))
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def stacked(heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """A figure with axes one below the other, each of a height in inches."""
    figure = Figure(figsize=(WIDTH, sum(heights)))
    axes = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": list(heights)})
    return figure, list(axes[:, 0])


def drawable(text: str) -> str:
    """With a question mark for each letter that the font lacks."""
    return "".join(letter if letter == "\n" or ord(letter) in _letters() else "?" for letter in text)


@cache
def _letters() -> frozenset[int]:
    return frozenset(FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap())


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Heights moved apart to at least `gap`, in their order, with the least moving down the line."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    placed: dict[int, float] = {}
    last = float("-inf")
    for i in order:
        last = placed[i] = max(heights[i], last + gap)
    shift = sum(placed[i] - heights[i] for i in order) / max(1, len(order))
    return [placed[i] - shift for i in range(len(heights))]


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names at the right end of lines, where each ends: height in data units, text, colour."""
    low, high = axes.get_ylim()
    gap = (high - low) * 0.062
    for (height, text, colour), at in zip(ends, spread([end[0] for end in ends], gap), strict=True):
        axes.annotate(
            drawable(text),
            xy=(1, height),
            xytext=(1.02, at),
            xycoords=axes.get_yaxis_transform(),
            textcoords=axes.get_yaxis_transform(),
            color=INK,
            fontsize=8.5,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0},
        )


def svg_of(figure: Figure, name: str) -> str:
    """The drawing as an element for a page; `name` sets its ids apart from those of other pictures."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", text)
    text = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', text, count=1)
    text = text.replace("xlink:href", "href").replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans', sans-serif")
    text = text.replace(INK, "currentColor").replace(PAPER, "var(--paper)")
    return text.strip()
