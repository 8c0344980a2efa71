"""FedNS: clients whose inputs look corrupted count less.

H. Li, Funk, Gurel and Saeed, "Collaboratively Learning Federated Models from Noisy Decentralized Data", IEEE BigData 2024,
arXiv 2409.02189, section 3. The flags come from the measured norms in every round; the authors' code looks them up.
"""

from fedwright_federation.algorithm import BySamples, Sgd, Strategy
from fedwright_federation.parts.normalised import ByTravel
from fedwright_federation.parts.sifting import MEASURE, GradientToUniform, Sifted
from fedwright_federation.parts.widths import SendMeasured

BASES = {"samples": BySamples(), "travel": ByTravel()}


def fedns(
    lr: float = 0.1,
    momentum: float = 0.0,
    clean: float = 1.2,
    noisy: float = 0.1,
    separation: float = 2.8,
    rounds: int = 1,
    base: str = "samples",
) -> Strategy:
    """Weights of clients held to be clean are multiplied by `clean`, of the others by `noisy`.

    Each client sends one norm in each of the first `rounds` rounds; greater `separation` flags more cautiously. `base` is
    `samples`, or `travel` for FedNova's weights.
    Label skew changes the norms too: then it may hurt.
    """
    if base not in BASES:
        raise ValueError(f"base is {base!r}; choose one of {', '.join(BASES)}")
    rounds = int(rounds)
    return Strategy(
        name="FedNS",
        local=Sgd(lr, momentum),
        probes=(GradientToUniform(rounds),),
        states=(SendMeasured(MEASURE),),
        weighting=Sifted(BASES[base], clean, noisy, separation),
        hyperparameters={
            "lr": lr,
            "momentum": momentum,
            "clean": clean,
            "noisy": noisy,
            "separation": separation,
            "rounds": rounds,
            "base": base,
        },
    )
