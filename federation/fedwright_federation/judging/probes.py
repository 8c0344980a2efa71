"""Membership probes: training rows against rows of the same client and class that were never trained on.

Each comes with a twin that differs by a little noise: a model answers both alike, a look-up of known rows does not. The
rows that are judged have twins too, else having one would tell a probe, and it could be answered by another rule.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from fedwright_federation.tasks import TRAIN, TaskData

MOST_PAIRS = 500
TWIN_NOISE = 0.05
"""Standard deviation of the noise, in standard deviations of the data: 0.02 on images of digits."""


class Role(IntEnum):
    """Why a row is among the inputs. The bench sees inputs without roles, in one shuffled order."""

    JUDGED = 0
    MEMBER = 1
    STRANGER = 2
    MEMBER_TWIN = 3
    STRANGER_TWIN = 4
    JUDGED_TWIN = 5


@dataclass(frozen=True)
class Probes:
    """Row numbers; `members[i]` and `strangers[i]` belong to one client and one class."""

    members: NDArray[np.intp]
    strangers: NDArray[np.intp]


def matched(data: TaskData, closed: int, rng: np.random.Generator) -> Probes:
    """As many pairs as there are, at most MOST_PAIRS. Strangers come from the split that is not opened.

    Rows whose label was replaced are no members here: the noise alone would tell them apart.
    """
    members: list[NDArray[np.intp]] = []
    strangers: list[NDArray[np.intp]] = []
    true = data.taught == data.y
    for client in range(data.task.clients):
        inside, outside = data.rows(TRAIN, client), data.rows(closed, client)
        inside = inside[true[inside]]
        for label in np.intersect1d(data.y[inside], data.y[outside]):
            known, unknown = (rng.permutation(rows[data.y[rows] == label]) for rows in (inside, outside))
            pairs = min(len(known), len(unknown))
            members.append(known[:pairs])
            strangers.append(unknown[:pairs])
    if not members:
        return Probes(np.zeros(0, np.intp), np.zeros(0, np.intp))
    chosen = rng.permutation(sum(map(len, members)))[:MOST_PAIRS]
    return Probes(np.concatenate(members)[chosen], np.concatenate(strangers)[chosen])


def twins(x: NDArray[np.float32], scale: float, rng: np.random.Generator) -> NDArray[np.float32]:
    return np.asarray(x + rng.normal(0.0, TWIN_NOISE * scale, x.shape), dtype=np.float32)
