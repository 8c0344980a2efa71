"""A weighting: between one client one vote (power 0) and one sample one vote (power 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedwright_federation.algorithm import Named, Report, Round, Sgd, Strategy, Weighting, Weights


@dataclass(frozen=True)
class BySamplesToThePower(Weighting):
    """share_i = n_i^power / sum_j n_j^power; `scale` stays 1, since no update is stretched."""

    power: float = 0.5

    features = frozenset({"client-weights"})

    def weigh(self, reports: Sequence[Report], state: Named, round: Round) -> tuple[Weights, Named]:
        del round
        raised = np.array([report.samples for report in reports], dtype=np.float64) ** self.power
        return Weights(raised / raised.sum(), np.ones(len(reports))), state


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    chosen = {"lr": 0.1, "power": 0.5, **hyperparameters}
    return Strategy(
        name="SamplesToThePower",
        local=Sgd(lr=chosen["lr"]),
        weighting=BySamplesToThePower(chosen["power"]),
        hyperparameters=chosen,
    )
