"""HeteroFL: clients train slices of the model that are as wide as their devices allow.

Diao, Ding and Tarokh, "HeteroFL: Computation and Communication Efficient Federated Learning for Heterogeneous Clients", ICLR
2021, arXiv 2010.01264, section 3 and algorithm 1.

Running statistics of norm layers follow the plain mean over holders; the paper's static batch norm is not used.
"""

from fedwright_federation.algorithm import Sgd, Strategy, WeightedMean
from fedwright_federation.parts.weighting import Uniform
from fedwright_federation.parts.widths import LabelsHeld, MaskedCrossEntropy, MeanOverOwners, SendMeasured, WidthSlices


def heterofl(
    lr: float = 0.1, momentum: float = 0.0, smallest: float = 0.0625, scaler: int = 0, owners: int = 1
) -> Strategy:
    """A client trains ceil(r * width) units of each hidden layer, r the greatest of 1, 1/2, 1/4, ... that its capability allows.

    `smallest` bounds r from below; 1 gives everyone the whole model. `scaler` 1 divides hidden activations by r in training
    (section 3), which suits models with norm layers alone. Every coordinate is the unweighted mean over its holders.
    `owners` 1 lets clients tell which labels they hold, and leaves the others' rows of the head to those who hold them; 0 has
    every row move by the mean of all who hold it, which FedDyn's state needs.
    Compare it with leaving weak clients out and with the small model for all.
    """
    return Strategy(
        name="HeteroFL",
        view=WidthSlices(smallest, bool(scaler)),
        losses=(MaskedCrossEntropy(),),
        local=Sgd(lr, momentum),
        probes=(LabelsHeld(),) if owners else (),
        states=(SendMeasured("labels"),) if owners else (),
        weighting=Uniform(),
        combiner=MeanOverOwners() if owners else WeightedMean(),
        hyperparameters={"lr": lr, "momentum": momentum, "smallest": smallest, "scaler": scaler, "owners": owners},
    )
