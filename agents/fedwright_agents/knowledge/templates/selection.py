"""A selection: clients with many samples are drawn more often, without replacement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedwright_federation.algorithm import ClientInfo, Round, Selection, Sgd, Strategy
from fedwright_federation.parts.weighting import Uniform


@dataclass(frozen=True)
class BySize(Selection):
    """As many as the training asks for, with odds n_i^power, drawn from the round's own stream."""

    power: float = 1.0

    features = frozenset({"own-selection"})

    def select(self, pool: Sequence[ClientInfo], round: Round) -> list[int]:
        wanted = min(len(pool), max(1, int(round.training.participation * round.population + 0.5)))
        odds = np.array([client.samples for client in pool], dtype=np.float64) ** self.power
        if not pool or not odds.sum():
            return []
        ids = [client.id for client in pool]
        drawn = round.stream("cohort", 0).choice(len(ids), size=wanted, replace=False, p=odds / odds.sum())
        return sorted(ids[int(k)] for k in drawn)


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    chosen = {"lr": 0.1, "power": 1.0, **hyperparameters}
    return Strategy(
        name="BySize",
        selection=BySize(chosen["power"]),
        local=Sgd(lr=chosen["lr"]),
        weighting=Uniform(),
        hyperparameters=chosen,
    )
