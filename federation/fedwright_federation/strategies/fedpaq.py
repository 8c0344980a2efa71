"""FedPAQ: periodic averaging of quantised updates (Reisizadeh et al., AISTATS 2020, arXiv 1909.13014, algorithm 1)."""

from fedwright_federation.algorithm import Sgd, Strategy
from fedwright_federation.parts.codecs import Qsgd
from fedwright_federation.parts.weighting import Uniform


def fedpaq(levels: int = 1, lr: float = 0.1, momentum: float = 0.0) -> Strategy:
    """`levels` is QSGD's s: uploads take 1 + ceil(log2(s + 1)) bits a coordinate instead of 32."""
    levels = int(levels)
    return Strategy(
        name="FedPAQ",
        upload=Qsgd(levels),
        local=Sgd(lr, momentum),
        weighting=Uniform(),
        hyperparameters={"levels": levels, "lr": lr, "momentum": momentum},
    )
