"""Metrics in a reader's words and units."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedwright_crds.task import Metric

ABSENT = "-"
"""Where there is no figure."""


@dataclass(frozen=True)
class Unit:
    """How values of a metric are called and written. Shares are shown in percent, their differences in points."""

    name: str
    share: bool = False
    suffix: str = ""

    @property
    def axis(self) -> str:
        """For an axis: the name with the unit."""
        return (
            f"{self.name} (%)" if self.share else f"{self.name} ({self.suffix.strip()})" if self.suffix else self.name
        )

    @property
    def of_difference(self) -> str:
        """What follows the word difference."""
        return " in points" if self.share else f" in{self.suffix}" if self.suffix else ""

    def scaled(self, value: float) -> float:
        """As it is drawn."""
        return value * 100 if self.share else value

    def value(self, value: float | None) -> str:
        if value is None:
            return ABSENT
        return f"{value * 100:.1f}%" if self.share else f"{figure(value)}{self.suffix}"

    def difference(self, value: float) -> str:
        return f"{value * 100:+.2f} points" if self.share else f"{figure(value, signed=True)}{self.suffix}"

    def interval(self, low: float, high: float) -> str:
        if self.share:
            return f"{low * 100:+.2f} to {high * 100:+.2f} points"
        return f"{figure(low, signed=True)} to {figure(high, signed=True)}{self.suffix}"


UNITS = {
    Metric.ACCURACY: Unit("accuracy", share=True),
    Metric.WORST_TENTH_ACCURACY: Unit("accuracy of the worst tenth of the clients", share=True),
    Metric.WORST_HEAD_ACCURACY: Unit("accuracy of the worst head", share=True),
    Metric.LOSS: Unit("loss"),
    Metric.ROUNDS_TO_TARGET: Unit("rounds to the target"),
    Metric.UPLOAD_MEBIBYTES: Unit("upload", suffix=" MiB"),
    Metric.DOWNLOAD_MEBIBYTES: Unit("download", suffix=" MiB"),
    Metric.SIMULATED_SECONDS: Unit("simulated time", suffix=" s"),
    Metric.LOCAL_STEPS: Unit("local steps"),
    Metric.MEMBERSHIP_AUC: Unit("membership AUC"),
    Metric.MEMBERSHIP_TPR: Unit("membership TPR at 1% FPR", share=True),
    Metric.AVERAGE_ACCURACY: Unit("average accuracy over the tasks", share=True),
    Metric.FORGETTING: Unit("forgetting", share=True),
}


def metric_of(key: str) -> Metric:
    """Of a key such as `Accuracy/Global`."""
    return Metric(key.partition("/")[0])


def unit_of(key: str) -> Unit:
    return UNITS[metric_of(key)]


def figure(value: float | None, *, signed: bool = False) -> str:
    """Four significant digits, thousands apart."""
    if value is None:
        return ABSENT
    if abs(value) >= 1000:
        return f"{value:+,.0f}" if signed else f"{value:,.0f}"
    return f"{value:+.4g}" if signed else f"{value:.4g}"


def probability(p: float) -> str:
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


def percent(level: float) -> str:
    """Of the interval that belongs to a level."""
    return f"{(1 - level) * 100:g}%"


def values(named: Mapping[str, float]) -> str:
    """Hyperparameters in one line."""
    return ", ".join(f"{name} {figure(value)}" for name, value in sorted(named.items()))
