"""How a mind stands on a task: success, paired scores and costs, as a row and as a document. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from fedwright_operator.bench.compare import Against
from fedwright_operator.bench.findings import Run
from fedwright_operator.bench.tasks import Task
from fedwright_operator.verdict import SHARES

NANO = 1e9
ABSENT = "-"


@dataclass(frozen=True)
class Standing:
    """Of one mind on one task, over the seeds that have ended."""

    task: Task
    mind: str
    wanted: int
    runs: Sequence[Run]
    against: Mapping[str, Against]

    @property
    def methods(self) -> tuple[str, ...]:
        return ("fedavg", *self.task.baselines)

    @property
    def answered(self) -> int:
        return sum(one.answered for one in self.runs)

    @property
    def costs(self) -> dict[str, float]:
        """Means over the runs."""
        return {
            "tokens": _mean([one.charged.tokens for one in self.runs]),
            "moneyUsd": _mean([one.charged.nano_usd / NANO for one in self.runs]),
            "seconds": _mean([one.seconds for one in self.runs]),
            "boxSeconds": _mean([one.request.status.spent.box_seconds for one in self.runs]),
        }

    def document(self) -> dict[str, Any]:
        return {
            "task": self.task.name,
            "mind": self.mind,
            "specialist": self.task.specialist,
            "metric": f"{self._objective.metric}/{self._objective.scope}",
            "seeds": self.wanted,
            "ended": len(self.runs),
            "answered": self.answered,
            "won": sum(one.won for one in self.runs),
            "successRate": self.answered / len(self.runs) if self.runs else None,
            "against": {method: asdict(one) for method, one in self.against.items()},
            "meanOfARun": self.costs if self.runs else None,
            "runs": [_run(one) for one in self.runs],
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Under `HEAD`: one for each baseline, what concerns them all in the first."""
        score = next(iter(self.against.values()), None)
        costs = self.costs
        first = (
            self.task.name,
            self.mind,
            f"{self.answered}/{len(self.runs)}" + (f" of {self.wanted}" if len(self.runs) < self.wanted else ""),
            str(sum(one.won for one in self.runs)),
            self._value(score.answer) if score else ABSENT,
        )
        last = (f"{costs['tokens']:,.0f}", f"{costs['moneyUsd']:.4f}", f"{costs['seconds']:.0f}")
        return [
            (
                *(first if n == 0 else [""] * len(first)),
                *self._compared(method),
                *(last if n == 0 else [""] * len(last)),
            )
            for n, method in enumerate(self.methods)
        ]

    @property
    def _objective(self) -> Any:
        return self.task.request.spec.objective

    @property
    def _share(self) -> bool:
        return str(self._objective.metric) in SHARES

    def _value(self, value: float) -> str:
        return f"{value:.1%}" if self._share else f"{value:.4g}"

    def _compared(self, method: str) -> tuple[str, str, str]:
        name = f"{method}*" if method == self.task.specialist else method
        one = self.against.get(method)
        if one is None:
            return name, ABSENT, ABSENT
        scale, form = (100, "+.1f") if self._share else (1, "+.3g")
        figures = [format(scale * value, form) for value in (one.difference, one.low, one.high)]
        return name, figures[0], f"{figures[1]} to {figures[2]}"


HEAD = ("TASK", "MIND", "ANSWERED", "WON", "SCORE", "AGAINST", "BY", "95% INTERVAL", "TOKENS", "USD", "SECONDS")
CAPTION = "Means of a run. Shares in percent, their differences in points; * the method made for the task."


def _run(one: Run) -> dict[str, Any]:
    status = one.request.status
    return {
        "seed": one.entry.seed,
        "request": one.request.metadata.name,
        "phase": str(status.phase),
        "answer": one.title,
        "tokens": one.charged.tokens,
        "calls": one.charged.calls,
        "moneyUsd": one.charged.nano_usd / NANO,
        "seconds": one.seconds,
        "boxSeconds": status.spent.box_seconds,
    }


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else 0.0
