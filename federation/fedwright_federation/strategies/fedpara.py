"""FedPara: weights are low-rank Hadamard products, and their factors are what is trained and sent.

Hyeon-Woo, Ye-Bin and Oh, "FedPara: Low-Rank Hadamard Product for Communication-Efficient Federated Learning", ICLR 2022, arXiv
2108.06098, section 2.
"""

from fedwright_federation.algorithm import Sgd, Strategy
from fedwright_federation.parts.factors import Factorised


def fedpara(
    lr: float = 0.1, momentum: float = 0.0, gamma: float = 0.1, smallest: int = 0, personal: int = 0
) -> Strategy:
    """`gamma` from 0, the least rank whose product can have full rank, to 1, the greatest that saves coordinates.

    Blocks of fewer than `smallest` coordinates stay dense, as do those that factors would not make smaller. `personal` 1 is
    pFedPara: half of each product stays with its client. Weight decay acts on the factors, so it means something else here.
    """
    smallest = int(smallest)
    return Strategy(
        name="pFedPara" if personal else "FedPara",
        view=Factorised(gamma, smallest, bool(personal)),
        local=Sgd(lr, momentum),
        hyperparameters={
            "lr": lr,
            "momentum": momentum,
            "gamma": gamma,
            "smallest": smallest,
            "personal": personal,
        },
    )
