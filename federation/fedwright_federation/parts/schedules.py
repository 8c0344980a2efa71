"""How much local work each client does."""

from dataclasses import dataclass

from fedwright_federation.algorithm import Steady


@dataclass(frozen=True)
class PartialWork(Steady):
    """A client that would miss the deadline sends what it managed (Li et al. 2020, FedProx, section 3.2)."""

    partial = True
