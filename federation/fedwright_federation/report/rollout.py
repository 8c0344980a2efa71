"""The deployment: what the fleet's own nodes measured, round by round."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedwright_crds.documents import RoundMetrics
from fedwright_federation.report.canvas import blank, styled, svg_of
from fedwright_federation.report.looks import GREY, HUES, clean
from fedwright_federation.report.page import Picture, Section, Table
from fedwright_federation.report.story import Story
from fedwright_federation.report.units import ABSENT
from fedwright_federation.report.units import figure as written


def section(story: Story) -> Section | None:
    metrics = story.report.deployment
    if metrics is None or not metrics.rounds:
        return None
    judged = [one for one in metrics.rounds if one.accuracy is not None]
    pictures: tuple[Picture, ...] = ()
    if judged:
        said = f"from {_percent(judged[0])} in round {judged[0].round} to {_percent(judged[-1])} in round {judged[-1].round}"
        decision = story.report.decision
        look = story.looks.get(decision.winner or "") if decision else None
        with styled():
            svg = svg_of(lines(metrics.rounds, look.colour if look else HUES[0]), "rollout")
        pictures = (
            Picture(svg, f"Accuracy on the nodes' own held-out rows, {said}; bytes sent each way in each round."),
        )
    digest = f" The model is {metrics.model_digest}." if metrics.model_digest else ""
    return Section(
        id="rollout",
        title="The deployment, round by round",
        words=(
            f"Run {clean(metrics.run)} on a real federation: {len(metrics.rounds)} rounds, restarted {metrics.restarts} "
            f"times.{digest} Accuracy is the mean over the nodes' own held-out rows, so it is not comparable with the figures above.",
        ),
        pictures=pictures,
        tables=(_table(metrics.rounds),),
    )


def lines(rounds: Sequence[RoundMetrics], colour: str) -> Figure:
    """Accuracy on the left, bytes of each round on the right."""
    figure, (accuracy, traffic) = blank(2.7, 2)
    judged = [one for one in rounds if one.accuracy is not None]
    accuracy.plot(
        [one.round for one in judged], [100 * (one.accuracy or 0) for one in judged], "o-", color=colour, markersize=4.5
    )
    accuracy.set_ylabel("accuracy (%)")
    power, name = _byte_unit(rounds)
    for way, amounts, shade in (
        ("up", [one.upload_bytes for one in rounds], colour),
        ("down", [one.download_bytes for one in rounds], GREY),
    ):
        heights = [amount / 2**power for amount in amounts]
        shift = -0.2 if way == "up" else 0.2
        traffic.bar([one.round + shift for one in rounds], heights, width=0.38, color=shade, label=way)
    traffic.set_ylabel(f"{name}, all nodes")
    traffic.grid(axis="x", visible=False)
    traffic.legend(loc="upper left", bbox_to_anchor=(0, 1.16), ncols=2)
    for axes in (accuracy, traffic):
        axes.set_xlabel("round")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _byte_unit(rounds: Sequence[RoundMetrics]) -> tuple[int, str]:
    """The power of two and the name of a unit in which the bytes of a round are legible."""
    most = max(max(one.upload_bytes, one.download_bytes) for one in rounds)
    return (20, "MiB") if most >= 2**20 else (10, "KiB")


def _percent(one: RoundMetrics) -> str:
    return ABSENT if one.accuracy is None else f"{one.accuracy:.1%}"


def _table(rounds: Sequence[RoundMetrics]) -> Table:
    power, unit = _byte_unit(rounds)
    rows = [
        (
            str(one.round),
            str(one.clients),
            str(one.failures),
            _percent(one),
            written(one.loss),
            written(one.upload_bytes / 2**power),
            written(one.download_bytes / 2**power),
            f"{one.seconds:.1f}",
        )
        for one in rounds
    ]
    head = ("Round", "Nodes", "Failures", "Accuracy", "Loss", f"{unit} up", f"{unit} down", "Seconds")
    return Table("Every round of the deployment", head, tuple(rows), frozenset(range(8)), folded=True)
