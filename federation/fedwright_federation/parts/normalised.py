"""Weights that undo unequal amounts of local work (FedNova, Wang et al. 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedwright_federation.algorithm import BySamples, Named, Report, Round, Weighting, Weights


@dataclass(frozen=True)
class ByTravel(Weighting):
    """x <- x + sum_i p_i (t / t_i) d_i with t = sum_i p_i t_i and t_i = lr ||a_i||_1 (Wang et al. 2020, section 4).

    t_i is the report's travel, so local momentum, decay and proximal terms are counted as the solver really applied them.
    Equal travel gives `BySamples`.
    """

    features = frozenset({"needs-travel", "normalised-weights"})

    def weigh(self, reports: Sequence[Report], state: Named, round: Round) -> tuple[Weights, Named]:
        base, state = BySamples().weigh(reports, state, round)
        travel = np.array([report.travel for report in reports], dtype=np.float64)
        return Weights(base.share, base.share @ travel / travel), state
