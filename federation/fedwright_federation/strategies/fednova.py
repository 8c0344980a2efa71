"""FedNova: updates are normalised by the amount of local work before they are averaged.

Wang, Liu, Liang, Joshi and Poor, "Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization",
NeurIPS 2020, arXiv 2007.07481, section 4.
"""

from fedwright_federation.algorithm import Sgd, Strategy
from fedwright_federation.parts.normalised import ByTravel


def fednova(lr: float = 0.1, momentum: float = 0.0) -> Strategy:
    """x <- x + sum_i p_i (t / t_i) d_i, with t_i what client i's solver makes of a constant gradient of 1 and t = sum_i p_i t_i.

    With equal work everywhere it is FedAvg. Helps where clients do unequal numbers of steps and their data differ with it.
    """
    return Strategy(
        name="FedNova",
        local=Sgd(lr, momentum),
        weighting=ByTravel(),
        hyperparameters={"lr": lr, "momentum": momentum},
    )
