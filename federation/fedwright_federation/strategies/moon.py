"""MOON: local features are drawn to the global model's and away from the client's own last ones.

Q. Li, He and Song, "Model-Contrastive Federated Learning", CVPR 2021, arXiv 2103.16257, section 3 and algorithm 1.
"""

from fedwright_federation.algorithm import CrossEntropy, Sgd, Strategy, Whole
from fedwright_federation.parts.contrast import ModelContrast, PreviousModel, ProjectionHead


def moon(
    lr: float = 0.1, momentum: float = 0.0, mu: float = 1.0, temperature: float = 0.5, projection: int = 1
) -> Strategy:
    """`mu` weighs the contrast (0.1 to 10 in the paper) and `temperature` sharpens it.

    `projection` 1 puts the paper's two layers between the model's body and its head. Costs two more forward passes a step
    and a model's memory at each client. Needs several local epochs and clients that come back often.
    """
    return Strategy(
        name="MOON",
        view=ProjectionHead() if projection else Whole(),
        losses=(CrossEntropy(), ModelContrast(mu, temperature)),
        local=Sgd(lr, momentum),
        states=(PreviousModel(),),
        hyperparameters={
            "lr": lr,
            "momentum": momentum,
            "mu": mu,
            "temperature": temperature,
            "projection": projection,
        },
    )
