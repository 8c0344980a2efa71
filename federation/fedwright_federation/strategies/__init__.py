"""The catalogue's methods, one a file: each a recipe of parts, with its paper."""

from fedwright_federation.strategies.depthfl import depthfl
from fedwright_federation.strategies.fedavg import fedavg
from fedwright_federation.strategies.fedavgm import fedavgm
from fedwright_federation.strategies.fedbn import fedbn
from fedwright_federation.strategies.feddm import feddm
from fedwright_federation.strategies.feddyn import feddyn
from fedwright_federation.strategies.fedkd import fedkd
from fedwright_federation.strategies.fedmlb import fedmlb
from fedwright_federation.strategies.fednova import fednova
from fedwright_federation.strategies.fedns import fedns
from fedwright_federation.strategies.fedopt import fedadagrad, fedadam, fedyogi
from fedwright_federation.strategies.fedpaq import fedpaq
from fedwright_federation.strategies.fedpara import fedpara
from fedwright_federation.strategies.fedper import fedper
from fedwright_federation.strategies.fedprox import fedprox
from fedwright_federation.strategies.fedrep import fedrep
from fedwright_federation.strategies.heterofl import heterofl
from fedwright_federation.strategies.moon import moon
from fedwright_federation.strategies.scaffold import scaffold

__all__ = [
    "depthfl",
    "fedadagrad",
    "fedadam",
    "fedavg",
    "fedavgm",
    "fedbn",
    "feddm",
    "feddyn",
    "fedkd",
    "fedmlb",
    "fednova",
    "fedns",
    "fedpaq",
    "fedpara",
    "fedper",
    "fedprox",
    "fedrep",
    "fedyogi",
    "heterofl",
    "moon",
    "scaffold",
]
