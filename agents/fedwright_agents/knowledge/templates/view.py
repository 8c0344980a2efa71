"""A view: the first blocks of the model never leave a client, and the rest is shared."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedwright_federation.algorithm import Role, Sgd, Strategy, View


@dataclass(frozen=True)
class PrivateFirstBlocks(View):
    """Keys of the first `blocks` blocks are the client's own (Liang et al. 2020, LG-FedAvg)."""

    blocks: int = 1

    features = frozenset({"private-keys"})
    needs = frozenset({"body"})

    def shared(self, key: str, role: Role) -> bool:
        del role
        return not key.startswith(tuple(f"{kind}.{k}." for kind in ("body", "norm") for k in range(self.blocks)))


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    chosen = {"lr": 0.1, "blocks": 1.0, **hyperparameters}
    return Strategy(
        name="PrivateFirstBlocks",
        view=PrivateFirstBlocks(int(chosen["blocks"])),
        local=Sgd(lr=chosen["lr"]),
        hyperparameters=chosen,
    )
