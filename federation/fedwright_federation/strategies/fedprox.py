"""FedProx: a pull towards the global model, and partial work instead of dropped stragglers (Li et al., MLSys 2020,
arXiv 1812.06127, algorithm 2)."""

from fedwright_federation.algorithm import Sgd, Strategy
from fedwright_federation.parts.gradient_terms import Proximal
from fedwright_federation.parts.schedules import PartialWork


def fedprox(mu: float = 0.1, lr: float = 0.1, momentum: float = 0.0) -> Strategy:
    """`mu` >= 0 weighs (mu/2) ||w - x||^2; keep lr * mu well below 1."""
    return Strategy(
        name="FedProx",
        schedule=PartialWork(),
        gradients=(Proximal(mu),),
        local=Sgd(lr, momentum),
        hyperparameters={"mu": mu, "lr": lr, "momentum": momentum},
    )
