"""The kinds by their names: what a folder or a word on the command line stands for."""

from dataclasses import dataclass
from typing import TypeVar

from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.federation import Federation
from fedwright_crds.kinds import AnyKind
from fedwright_crds.meta import Resource
from fedwright_crds.request import FLStrategyRequest

AnyResource = AnyKind
R = TypeVar("R", bound=AnyResource)


@dataclass(frozen=True)
class Kind:
    """A kind and its names as in its CRD."""

    model: type[AnyResource]
    plural: str
    short: str

    @property
    def name(self) -> str:
        return self.model.__name__

    @property
    def words(self) -> frozenset[str]:
        """All that a person may call it."""
        return frozenset({self.name.lower(), self.plural, self.short, self.plural.removesuffix("s")})


KINDS = (
    Kind(FLStrategyRequest, "flstrategyrequests", "flsr"),
    Kind(Candidate, "candidates", "flcand"),
    Kind(Federation, "federations", "flfed"),
    Kind(Deployment, "fldeployments", "fldep"),
)


def kind_of(model: type[Resource]) -> Kind:
    return next(kind for kind in KINDS if kind.model is model)


def kind_called(word: str) -> Kind | None:
    return next((kind for kind in KINDS if word.lower() in kind.words), None)
