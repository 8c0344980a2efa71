"""SCAFFOLD: control variates against client drift (Karimireddy et al., ICML 2020, arXiv 1910.06378, algorithm 1,
option II). Traffic is twice FedAvg's each way, and every client keeps one model-sized state."""

from fedwright_federation.algorithm import ServerSgd, Sgd, Strategy
from fedwright_federation.parts.client_states import ControlVariate
from fedwright_federation.parts.gradient_terms import ControlCorrection
from fedwright_federation.parts.server_optimizers import ServerControl
from fedwright_federation.parts.weighting import Uniform


def scaffold(lr: float = 0.1, server_lr: float = 1.0, momentum: float = 0.0) -> Strategy:
    """`server_lr` is eta_g of the mean update over the cohort."""
    return Strategy(
        name="SCAFFOLD",
        gradients=(ControlCorrection(),),
        local=Sgd(lr, momentum),
        states=(ControlVariate(),),
        weighting=Uniform(),
        server=ServerControl(ServerSgd(server_lr)),
        hyperparameters={"lr": lr, "server_lr": server_lr, "momentum": momentum},
    )
