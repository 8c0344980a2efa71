"""FedAvg: several local steps between rounds (McMahan et al., AISTATS 2017, arXiv 1602.05629, algorithm 1)."""

from fedwright_federation.algorithm import Sgd, Steady, Strategy


def fedavg(lr: float = 0.1, momentum: float = 0.0, lr_decay: float = 1.0) -> Strategy:
    """`lr` of the local steps, times `lr_decay` each round; `momentum` of the local steps, fresh each round."""
    return Strategy(
        name="FedAvg",
        schedule=Steady(lr_decay),
        local=Sgd(lr, momentum),
        hyperparameters={"lr": lr, "momentum": momentum, "lr_decay": lr_decay},
    )
