"""What the judge keeps to itself: the true labels of the inputs, whose each is, and why it was asked."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedwright_federation.judging.probes import Role


@dataclass(frozen=True)
class Labels:
    """All [n], in the order of the inputs."""

    y: NDArray[np.int64]
    """Which of the outputs of all heads is the true one."""
    client: NDArray[np.int64]
    role: NDArray[np.int8]
    stage: NDArray[np.int16]
    original: NDArray[np.int64]
    """For a twin the position of the row that it resembles; its own position for others."""
    classes: int

    @classmethod
    def read(cls, path: Path) -> "Labels":
        with np.load(path, allow_pickle=False) as file:
            columns = {name: file[name] for name in ("y", "client", "role", "stage", "original")}
            return cls(**columns, classes=int(file["classes"]))

    def of(self, role: Role) -> NDArray[np.intp]:
        """Positions of the rows that were asked for this reason."""
        return np.flatnonzero(self.role == role)
