"""FedMLB: hybrid branches of local and frozen global blocks keep local features useful to the global model.

J. Kim, G. Kim and Han, "Multi-Level Branched Regularization for Federated Learning", ICML 2022, arXiv 2207.06936, section 3.
"""

from fedwright_federation.algorithm import CrossEntropy, Sgd, Strategy
from fedwright_federation.parts.branches import Branches


def fedmlb(
    lr: float = 0.1, momentum: float = 0.0, lam1: float = 1.0, lam2: float = 1.0, temperature: float = 1.0
) -> Strategy:
    """`lam1` weighs the branches' cross entropy and `lam2` their divergence from the local model's prediction.

    Costs one more pass through the later half of the model for each block, on average. Needs two hidden blocks or more.
    """
    return Strategy(
        name="FedMLB",
        losses=(CrossEntropy(), Branches(lam1, lam2, temperature)),
        local=Sgd(lr, momentum),
        hyperparameters={"lr": lr, "momentum": momentum, "lam1": lam1, "lam2": lam2, "temperature": temperature},
    )
