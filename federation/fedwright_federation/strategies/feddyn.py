"""FedDyn: a dynamic regulariser makes the clients' stationary points agree with the global one.

Acar, Zhao, Matas Navarro, Mattina, Whatmough and Saligrama, "Federated Learning Based on Dynamic Regularization", ICLR 2021,
arXiv 2111.04263, algorithm 1.
"""

from fedwright_federation.algorithm import GlobalModel, Sgd, Strategy
from fedwright_federation.parts.dynamics import CohortMean, DynamicRegularizer, DynamicServer, LocalGradient
from fedwright_federation.parts.weighting import Uniform


def feddyn(lr: float = 0.1, alpha: float = 0.1, judge_mean: int = 0) -> Strategy:
    """`alpha` weighs the pull towards the downloaded model; 0 turns the method off and leaves FedAvg with uniform weights.

    `judge_mean` 1 judges the mean of the last cohort's models instead of the server's own. Set a weight decay: without one
    the linear terms may drift over many rounds. Helps under label skew, and little in few rounds of many clients.
    """
    return Strategy(
        name="FedDyn",
        gradients=(DynamicRegularizer(alpha),),
        local=Sgd(lr),
        states=(LocalGradient(alpha),),
        weighting=Uniform(),
        server=DynamicServer(alpha),
        evaluation=CohortMean(alpha) if judge_mean else GlobalModel(),
        hyperparameters={"lr": lr, "alpha": alpha, "judge_mean": judge_mean},
    )
