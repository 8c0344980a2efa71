"""The four kinds by the names that a manifest calls them."""

from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.federation import Federation
from fedwright_crds.request import FLStrategyRequest

AnyKind = FLStrategyRequest | Candidate | Federation | Deployment

KINDS: dict[str, type[AnyKind]] = {
    "FLStrategyRequest": FLStrategyRequest,
    "Candidate": Candidate,
    "Federation": Federation,
    "Deployment": Deployment,
}
