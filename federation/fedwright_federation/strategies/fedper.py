"""FedPer: a shared body and private heads, trained together.

Arivazhagan, Aggarwal, Singh and Choudhary, "Federated Learning with Personalization Layers", 2019, arXiv 1912.00818,
section 3, with one personal layer: the classifier.
"""

from fedwright_federation.algorithm import Sgd, Strategy
from fedwright_federation.parts.views import HEAD, PrivateRoles


def fedper(lr: float = 0.1, momentum: float = 0.0) -> Strategy:
    return Strategy(
        name="FedPer",
        view=PrivateRoles(HEAD),
        local=Sgd(lr, momentum),
        hyperparameters={"lr": lr, "momentum": momentum},
    )
