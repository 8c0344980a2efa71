"""FedRep: one representation for all, a head for each client.

Collins, Hassani, Mokhtari and Shakkottai, "Exploiting Shared Representations for Personalized Federated Learning", ICML
2021, arXiv 2102.07078, algorithm 1. The shared keys move by the mean weighted by samples, where the paper's is uniform.
"""

from dataclasses import replace

from fedwright_federation.algorithm import Sgd, Strategy
from fedwright_federation.parts.heads import HeadRefreshed, HeadThenBody
from fedwright_federation.parts.views import HEAD, PrivateRoles


def fedrep(lr: float = 0.1, momentum: float = 0.0, head_share: float = 0.5) -> Strategy:
    """`head_share` of each round's local steps fit the private head on a frozen body, the rest the body on a frozen head.

    The paper makes 10 epochs on the head and one on the body. 0 leaves no head to be private: FedAvg.
    Helps where clients agree on features and disagree on labels; judge it beside training alone and fine-tuned FedAvg.
    """
    strategy = Strategy(
        name="FedRep",
        local=Sgd(lr, momentum),
        hyperparameters={"lr": lr, "momentum": momentum, "head_share": head_share},
    )
    if head_share == 0:
        return strategy
    schedule = HeadThenBody(head_share)
    return replace(strategy, view=PrivateRoles(HEAD), schedule=schedule, evaluation=HeadRefreshed(schedule))
