"""A combiner: per coordinate the mean of what is left when the greatest and the smallest updates are put aside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedwright_federation.algorithm import Combiner, Report, Round, Sgd, Strategy, Tree
from fedwright_federation.parts.weighting import Uniform


@dataclass(frozen=True)
class TrimmedMean(Combiner):
    """floor(trim * m) updates are left out at each end (Yin et al. 2018, definition 2). It ignores shares, hence Uniform."""

    trim: float = 0.2

    features = frozenset({"order-statistic"})

    def __post_init__(self) -> None:
        if not 0 <= self.trim < 0.5:
            raise ValueError(f"trim is {self.trim} and must be at least 0 and below 0.5")

    def combine(self, reports: Sequence[Report], share: NDArray[np.float64], round: Round) -> Tree:
        del share, round
        return {key: self.middle([report.update[key] for report in reports]) for key in reports[0].update}

    def middle(self, updates: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        out = int(self.trim * len(updates))
        ordered = np.sort(np.stack(updates).astype(np.float64), axis=0)
        return np.asarray(ordered[out : len(updates) - out].mean(axis=0), dtype=np.float32)


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    chosen = {"lr": 0.1, "trim": 0.2, **hyperparameters}
    return Strategy(
        name="TrimmedMean",
        local=Sgd(lr=chosen["lr"]),
        weighting=Uniform(),
        combiner=TrimmedMean(chosen["trim"]),
        hyperparameters=chosen,
    )
