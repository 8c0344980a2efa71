"""Which methods suit a request, best first, each with its reasons; and which cannot run, each with why."""

from dataclasses import dataclass

from fedwright_crds.documents import DataFacts
from fedwright_crds.request import RequestSpec
from fedwright_crds.task import ModelSpec
from fedwright_federation.catalogue.circumstances import BYTES, Circumstances, circumstances
from fedwright_federation.catalogue.composition import Composition, of_method
from fedwright_federation.catalogue.entries import Circumstance, Method
from fedwright_federation.catalogue.load import Catalogue

CAUTION = 0.5
"""What each caution that applies takes from a score."""
BYTES_FIRST, OTHERS_SECOND = 2.0, 0.4
"""Weights of bandwidth and of all else where bytes are the objective itself."""
DEAR = 0.1
"""What each further multiple of FedAvg's local computation takes from a score."""


@dataclass(frozen=True)
class Match:
    """A method's suitability for one request. `score` has no unit; FedAvg's is 0."""

    method: Method
    composition: Composition
    score: float
    reasons: tuple[str, ...]
    excluded: str = ""
    """Why it cannot run here; empty where it can."""


def match(catalogue: Catalogue, facts: DataFacts, spec: RequestSpec, model: ModelSpec) -> list[Match]:
    """All methods: those that can run from best to worst, then the others. Equal scores stand in the order of ids."""
    holding = circumstances(facts, spec, model)
    matches = [_match(catalogue, method, spec, model, holding) for method in catalogue.methods.values()]
    return sorted(matches, key=lambda one: (bool(one.excluded), -one.score, one.method.id))


def _match(catalogue: Catalogue, method: Method, spec: RequestSpec, model: ModelSpec, holding: Circumstances) -> Match:
    composition = of_method(catalogue, method.id)
    score, reasons = suitability(method, spec, holding)
    return Match(method, composition, score, reasons, excluded(composition, spec, model))


def excluded(composition: Composition, spec: RequestSpec, model: ModelSpec) -> str:
    """The first rule that forbids it under this request, or nothing."""
    unit = str(spec.privacy.unit) if spec.privacy else None
    fatal = [objection for objection in composition.objections(model, unit, len(spec.task.heads)) if objection.fatal]
    return fatal[0].reason if fatal else ""


def suitability(method: Method, spec: RequestSpec, holding: Circumstances) -> tuple[float, tuple[str, ...]]:
    """What it serves of what holds, less what speaks against it and what it costs."""
    served = {name: value for name, value in method.serves.items() if name in holding}
    cautions = [caution for caution in method.avoid if caution.when in holding]
    score = sum(value * holding[name] * weight(name, spec) for name, value in served.items())
    score -= CAUTION * len(cautions) + cost(method, spec)
    reasons = [f"serves {name} ({value * holding[name]:.2f})" for name, value in served.items()]
    return score, tuple(reasons + [f"but {caution.why}" for caution in cautions])


def cost(method: Method, spec: RequestSpec) -> float:
    """What a method's costs take from its score; bytes beyond FedAvg's only where bytes are the objective."""
    uploads = max(0.0, method.costs.upload - 1) if spec.objective.metric in BYTES else 0.0
    return DEAR * max(0.0, method.costs.compute - 1) + uploads


def weight(name: Circumstance, spec: RequestSpec) -> float:
    """How much serving a circumstance counts under this objective."""
    if spec.objective.metric not in BYTES:
        return 1.0
    return BYTES_FIRST if name is Circumstance.BANDWIDTH else OTHERS_SECOND
