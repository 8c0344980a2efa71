"""FedAvgM: server momentum against label skew (Hsu, Qi and Brown 2019, arXiv 1909.06335, section 4)."""

from fedwright_federation.algorithm import Sgd, Strategy
from fedwright_federation.parts.server_optimizers import ServerMomentum


def fedavgm(beta: float = 0.9, server_lr: float = 0.3, lr: float = 0.1, momentum: float = 0.0) -> Strategy:
    """`beta` in [0, 1) is the server's momentum; its effective step is server_lr/(1 - beta), so tune the two together."""
    return Strategy(
        name="FedAvgM",
        local=Sgd(lr, momentum),
        server=ServerMomentum(beta, server_lr),
        hyperparameters={"beta": beta, "server_lr": server_lr, "lr": lr, "momentum": momentum},
    )
