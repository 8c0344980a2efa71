"""The catalogue's methods, one a file: each a recipe of parts, with its paper."""

from fedwright_federation.strategies.fedavg import fedavg
from fedwright_federation.strategies.fedavgm import fedavgm
from fedwright_federation.strategies.fedbn import fedbn
from fedwright_federation.strategies.fedopt import fedadagrad, fedadam, fedyogi
from fedwright_federation.strategies.fedpaq import fedpaq
from fedwright_federation.strategies.fedprox import fedprox
from fedwright_federation.strategies.scaffold import scaffold

__all__ = ["fedadagrad", "fedadam", "fedavg", "fedavgm", "fedbn", "fedpaq", "fedprox", "fedyogi", "scaffold"]
