"""DepthFL: clients train as many blocks as their devices allow, and the exits of each teach one another.

M. Kim, Yu, Kim and Moon, "DepthFL: Depthwise Federated Learning for Heterogeneous Clients", ICLR 2023, section 3. The paper
adds FedDyn's terms: compose with `feddyn`.
"""

from fedwright_federation.algorithm import Sgd, Strategy
from fedwright_federation.parts.depths import DepthSlices, Ensemble, RampedDistillation, SelfDistillation
from fedwright_federation.parts.weighting import Uniform


def depthfl(lr: float = 0.1, momentum: float = 0.0, distillation: float = 1.0, ramp: int = 10) -> Strategy:
    """A client holds max(1, floor(capability * blocks)) blocks, each with an exit; all exits together predict.

    `distillation` weighs what exits learn from each other and is reached after `ramp` rounds. Every coordinate is the
    unweighted mean over its holders. Compare it with leaving weak clients out, and an ensemble with an ensemble.
    """
    ramp = int(ramp)
    return Strategy(
        name="DepthFL",
        view=DepthSlices(),
        schedule=RampedDistillation(distillation, ramp),
        losses=(SelfDistillation(),),
        local=Sgd(lr, momentum),
        weighting=Uniform(),
        evaluation=Ensemble(),
        hyperparameters={"lr": lr, "momentum": momentum, "distillation": distillation, "ramp": ramp},
    )
