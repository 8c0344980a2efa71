"""What differs from client to client and from round to round beside the labels: features, noise, stages."""

import numpy as np
from numpy.typing import NDArray

from fedwright_crds.task import Continual, FeatureShift, LabelNoise
from fedwright_federation.heads import Heads
from fedwright_federation.simulation.seeds import stream
from fedwright_federation.tasks.problems import BadInputError
from fedwright_federation.tasks.splits import TRAIN


def shifted(
    x: NDArray[np.float32], owner: NDArray[np.int64], shift: FeatureShift, clients: int, seed: int
) -> NDArray[np.float32]:
    """Each client's rows as a x + b, with a = +-U(low, high) and b ~ N(0, sd) of its own."""
    rng = stream(seed, "feature-shift")
    scale = rng.uniform(shift.scale_low, shift.scale_high, clients) * rng.choice([-1.0, 1.0], clients)
    offset = rng.normal(0.0, shift.offset_sd, clients)
    column = (len(x),) + (1,) * (x.ndim - 1)
    a = np.where(owner < 0, 1.0, scale[owner]).reshape(column)
    b = np.where(owner < 0, 0.0, offset[owner]).reshape(column)
    return np.asarray(a * x + b, dtype=np.float32)


def mislabelled(
    y: NDArray[np.int64],
    owner: NDArray[np.int64],
    tags: NDArray[np.int8],
    noise: LabelNoise,
    clients: int,
    heads: Heads,
    seed: int,
) -> NDArray[np.int64]:
    """Labels as they are taught: of some clients' training rows a share has another class of the head, drawn evenly."""
    rng = stream(seed, "label-noise")
    taught = y.copy()
    for client in rng.permutation(clients)[: round(noise.client_fraction * clients)]:
        rows = np.flatnonzero((owner == client) & (tags == TRAIN))
        wrong = rng.permutation(rows)[: round(noise.label_fraction * len(rows))]
        classes = heads.count(int(client))
        taught[wrong] = (y[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return taught


def stages(y: NDArray[np.int64], continual: Continual | None, classes: int) -> NDArray[np.int16]:
    """[n], the stage in which a row's class arrives: consecutive groups of classes, as equal as can be."""
    if continual is None:
        return np.zeros(len(y), dtype=np.int16)
    if continual.tasks > classes:
        raise BadInputError(
            "spec.task.continual.tasks",
            f"is {continual.tasks} but the data has {classes} classes",
            f"lower it to at most {classes}",
        )
    return (y * continual.tasks // classes).astype(np.int16)
