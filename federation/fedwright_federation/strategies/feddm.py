"""FedDM: clients send a few synthetic samples a class, and the server trains on the union of them.

Xiong, Wang, Cheng, Yu and Hsieh, "FedDM: Iterative Distribution Matching for Communication-Efficient Federated Learning", CVPR
2023, arXiv 2207.09653, section 3 and algorithm 1.
"""

from fedwright_federation.algorithm import Strategy
from fedwright_federation.parts.synthetic import SYNTHETIC, DistributionMatching, Exactly, NoUpdate, TrainOnUnion
from fedwright_federation.parts.widths import SendMeasured


def feddm(
    per_class: int = 10,
    radius: float = 5.0,
    match_steps: int = 100,
    match_lr: float = 1.0,
    server_steps: int = 200,
    server_lr: float = 0.1,
    from_real: int = 0,
) -> Strategy:
    """`per_class` samples of each label that a client holds imitate its real ones to models within `radius` of the present one.

    `match_steps` steps of `match_lr` on the samples at the client, then `server_steps` of `server_lr` on the model at the
    server, within `radius` again. No weights travel up. `from_real` 1 starts from real samples, which with few steps comes
    near to sending them. Made for few rounds under label skew; the message must be smaller than the model to save bytes.
    """
    per_class, match_steps, server_steps = int(per_class), int(match_steps), int(server_steps)
    return Strategy(
        name="FedDM",
        upload=NoUpdate(),
        schedule=Exactly(match_steps),
        local=DistributionMatching(per_class, match_lr, radius, from_real=bool(from_real)),
        states=(SendMeasured(SYNTHETIC, "concat"),),
        finish=TrainOnUnion(server_steps, server_lr, radius=radius),
        hyperparameters={
            "per_class": per_class,
            "radius": radius,
            "match_steps": match_steps,
            "match_lr": match_lr,
            "server_steps": server_steps,
            "server_lr": server_lr,
            "from_real": from_real,
        },
    )
