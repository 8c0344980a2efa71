"""FedAvg with a step size and a decay that are tuned: the least that a candidate is."""

from collections.abc import Mapping

from fedwright_federation.algorithm import Sgd, Steady, Strategy

DEFAULTS = {"lr": 0.1, "decay": 0.99}


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    """Slots that are not named stay FedAvg's."""
    chosen = {**DEFAULTS, **hyperparameters}
    return Strategy(
        name="DecayingFedAvg",
        schedule=Steady(decay=chosen["decay"]),
        local=Sgd(lr=chosen["lr"]),
        hyperparameters=chosen,
    )
