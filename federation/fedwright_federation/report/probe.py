"""The privacy probe: how well an attacker tells who was trained on, and what this does not show."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedwright_crds.documents import PrivacyProbe
from fedwright_federation.report.canvas import INK, blank, drawable, styled, svg_of
from fedwright_federation.report.looks import Look
from fedwright_federation.report.page import Picture, Section, Table
from fedwright_federation.report.story import Story

Probed = list[tuple[Look, PrivacyProbe]]

NOT_SHOWN = (
    "A probe can show a leak and cannot show that there is none: a stronger attacker may exist.",
    "The attacker here sees the finished model's answers alone. What a server or an eavesdropper could read from the "
    "updates of each round is not tested.",
    "It speaks of the average row. Rare rows and outliers are often told apart far more easily.",
    "It says nothing of properties of the data that are no single row, nor of other data than that judged here.",
)


def section(story: Story) -> Section | None:
    probed = [(look, one.probe) for look, one in story.in_order() if one.probe]
    if not probed:
        return None
    rows = max(probe.members for _, probe in probed)
    said = "; ".join(
        f"{look.label}: AUC {probe.auc:.3f}, {probe.auc_low:.3f} to {probe.auc_high:.3f}" for look, probe in probed
    )
    with styled():
        svg = svg_of(intervals(probed), "probe")
    words = [
        f"Membership inference on the first fresh seed: each client's training rows against as many rows of the same client "
        f"that were never trained on ({rows:,} members). Shown is the strongest of several tests; bars are 95% intervals, wide "
        "enough for all of them together. The dotted lines are what guessing gives: a bar wholly to the right of one shows a leak.",
        *(
            f"{look.label} answers to training rows in a way that looks memorised: look into it before it is used."
            for look, probe in probed
            if probe.lookup_suspected
        ),
    ]
    return Section(
        id="probe",
        title="The privacy probe",
        words=tuple(words),
        pictures=(Picture(svg, f"Membership inference. {said}. Guessing gives 0.5."),),
        tables=(_table(probed),),
        notes=NOT_SHOWN,
    )


def intervals(probed: Probed) -> Figure:
    figure, (auc, tpr) = blank(1.0 + 0.34 * len(probed), 2)
    looks = [look for look, _ in probed]
    _panel(auc, looks, [(one.auc_low, one.auc, one.auc_high) for _, one in probed], 0.5)
    auc.set_xlabel("AUC (0.5 is guessing)")
    shares = [(100 * one.tpr_low, 100 * one.tpr_at_1_fpr, 100 * one.tpr_high) for _, one in probed]
    _panel(tpr, looks, shares, 1.0)
    tpr.set_xlabel("members found at 1% false alarms (%)")
    tpr.set_yticklabels([])
    return figure


def _panel(axes: Axes, looks: Sequence[Look], found: Sequence[tuple[float, float, float]], guess: float) -> None:
    for height, (look, (low, middle, high)) in enumerate(zip(reversed(looks), reversed(found), strict=True)):
        axes.plot([low, high], [height] * 2, color=look.colour, linewidth=2.4)
        axes.plot(middle, height, look.marker, color=look.colour, markersize=6.5)
    axes.axvline(guess, color=INK, linewidth=1.2, linestyle=":")
    axes.set_yticks(range(len(looks)), [drawable(look.label) for look in reversed(looks)])
    axes.set_ylim(-0.6, len(looks) - 0.4)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.08)


def _table(probed: Probed) -> Table:
    rows = [
        (
            look.label,
            f"{one.members:,}",
            f"{one.auc:.3f}",
            f"{one.auc_low:.3f} to {one.auc_high:.3f}",
            f"{one.tpr_at_1_fpr:.1%}",
            f"{one.tpr_low:.1%} to {one.tpr_high:.1%}",
            "yes" if one.lookup_suspected else "no",
        )
        for look, one in probed
    ]
    head = ("Strategy", "Members", "AUC", "Interval", "TPR at 1% FPR", "Interval", "Memorised answers suspected")
    return Table("Membership inference", head, tuple(rows), frozenset(range(1, 6)))
