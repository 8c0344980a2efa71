"""Several tasks over one model: which outputs are whose. Numbers alone, so that who cuts data needs no framework.

A head is a run of consecutive outputs, and client i has head i mod their number.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Heads:
    """`outputs` of each head, in order; together they are the model's."""

    outputs: tuple[int, ...]

    def of(self, client: int) -> int:
        """The client's head."""
        return client % len(self.outputs)

    def count(self, client: int) -> int:
        """How many classes the client tells apart."""
        return self.outputs[self.of(client)]

    def first(self, client: int) -> int:
        """Where the client's outputs begin among the model's."""
        return sum(self.outputs[: self.of(client)])

    def span(self, client: int) -> NDArray[np.intp]:
        """The client's outputs among the model's."""
        return np.arange(self.first(client), self.first(client) + self.count(client), dtype=np.intp)
