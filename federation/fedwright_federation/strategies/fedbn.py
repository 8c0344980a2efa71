"""FedBN: all of batch norm stays at the client, against feature shift (Li et al., ICLR 2021, arXiv 2102.07623,
algorithm 1)."""

from fedwright_federation.algorithm import Sgd, Strategy
from fedwright_federation.parts.views import NORM, PrivateRoles


def fedbn(lr: float = 0.1, momentum: float = 0.0) -> Strategy:
    """Scale, shift, running mean and running variance are private. Needs a model with batch norm."""
    return Strategy(
        name="FedBN",
        view=PrivateRoles(NORM),
        local=Sgd(lr, momentum),
        hyperparameters={"lr": lr, "momentum": momentum},
    )
