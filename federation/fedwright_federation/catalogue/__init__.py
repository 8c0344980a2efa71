"""What is known of methods and parts: data that minds read, without torch. It knows no way to run any of them."""

from fedwright_federation.catalogue.circumstances import circumstances
from fedwright_federation.catalogue.composition import (
    Composition,
    Objection,
    PartsClashError,
    compose,
    extend,
    of_method,
)
from fedwright_federation.catalogue.entries import (
    Caution,
    Circumstance,
    Costs,
    Hyperparameter,
    Method,
    Paper,
    PartEntry,
    RuleEntry,
)
from fedwright_federation.catalogue.load import Catalogue, UnknownEntryError, catalogue
from fedwright_federation.catalogue.matching import Match, excluded, match

__all__ = [
    "Catalogue",
    "Caution",
    "Circumstance",
    "Composition",
    "Costs",
    "Hyperparameter",
    "Match",
    "Method",
    "Objection",
    "Paper",
    "PartEntry",
    "PartsClashError",
    "RuleEntry",
    "UnknownEntryError",
    "catalogue",
    "circumstances",
    "compose",
    "excluded",
    "extend",
    "match",
    "of_method",
]
