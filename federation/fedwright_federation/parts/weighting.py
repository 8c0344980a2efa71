"""How much each client counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedwright_federation.algorithm import Named, Report, Round, Weighting, Weights


@dataclass(frozen=True)
class Uniform(Weighting):
    """1/m for each client of the cohort."""

    features = frozenset({"uniform-weights"})

    def weigh(self, reports: Sequence[Report], state: Named, round: Round) -> tuple[Weights, Named]:
        del round
        return Weights(np.full(len(reports), 1.0 / len(reports)), np.ones(len(reports))), state
