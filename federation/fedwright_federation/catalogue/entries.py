"""What the catalogue says of hyperparameters, parts, methods and rules: models of its data files, without torch."""

import ast
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from fedwright_crds.base import Line, Strict, Text, Word
from fedwright_crds.candidate import Range

Strength = Annotated[float, Field(ge=0, le=1)]
Reference = Annotated[str, Field(pattern=r"^[a-z_][\w.]*:[A-Za-z_]\w*$")]
Expression = Annotated[str, Field(max_length=256)]
Slot = Word


class Circumstance(StrEnum):
    """What may be true of a task and of what is wanted, as far as it decides between methods."""

    LABEL_SKEW = "LabelSkew"
    FEATURE_SHIFT = "FeatureShift"
    PARTIAL_PARTICIPATION = "PartialParticipation"
    STRAGGLERS = "Stragglers"
    UNEQUAL_WORK = "UnequalWork"
    WEAK_DEVICES = "WeakDevices"
    BANDWIDTH = "Bandwidth"
    PERSONALISATION = "Personalisation"
    PRIVACY = "Privacy"
    CONTINUAL = "Continual"
    LABEL_NOISE = "LabelNoise"
    MULTI_TASK = "MultiTask"
    FEW_ROUNDS = "FewRounds"
    SPARSE_GRADIENTS = "SparseGradients"
    # and what speaks against a method
    IID = "IID"
    NO_FEATURE_SHIFT = "NoFeatureShift"
    EQUAL_WORK = "EqualWork"
    UNIFORM_DEVICES = "UniformDevices"
    SMALL_PARTICIPATION = "SmallParticipation"
    SMALL_MODEL = "SmallModel"
    MANY_ROUNDS = "ManyRounds"
    GLOBAL_SCOPE = "GlobalScope"
    CLEAN_LABELS = "CleanLabels"
    SINGLE_LABEL = "SingleLabel"
    BYTES_DO_NOT_COUNT = "BytesDoNotCount"


class Toll(Strict):
    """What a value usually takes from the accuracy, as an order of magnitude."""

    value: float
    accuracy: float


class Hyperparameter(Strict):
    """One name's meaning, its default and the values worth trying."""

    meaning: Line
    default: float
    grid: tuple[float, ...] = ()
    log: bool = False
    whole: bool = False
    """An integer, though it travels as a number."""
    tolls: tuple[Toll, ...] = ()


class Override(Strict):
    """Where a part wants another default or grid than the vocabulary's."""

    default: float | None = None
    grid: tuple[float, ...] | None = None


class Caution(Strict):
    """When a method or a part should not help."""

    when: Circumstance
    why: Line


class PartEntry(Strict):
    """A part: how it is made, what it declares, what it is for."""

    slot: Slot
    reference: Reference
    arguments: dict[str, Expression] = Field(default_factory=dict)
    hyperparameters: dict[str, Override] = Field(default_factory=dict)
    purpose: Line
    features: frozenset[Word] = frozenset()
    needs: frozenset[str] = frozenset()
    """Capabilities that the model must have, once every view has changed it."""
    provides: frozenset[str] = frozenset()
    removes: frozenset[str] = frozenset()
    """What a view adds to and takes from the model's capabilities."""
    serves: dict[Circumstance, Strength] = Field(default_factory=dict)
    avoid: tuple[Caution, ...] = ()
    cohort: bool = True
    """Whether what runs at the client accepts the axis of many clients at once."""
    neutral: bool = False
    """Of the class that the slot has anyway, so any other part of the slot replaces it."""
    base: bool = False
    """A loss on the labels, of which there is exactly one."""
    alone: bool = False
    """Whether it makes sense in a recipe without companions."""
    wraps: Word | None = None
    """The argument that holds another part of the same slot."""

    @property
    def class_name(self) -> str:
        return self.reference.partition(":")[2]

    @property
    def module(self) -> str:
        return self.reference.partition(":")[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Names that the arguments use: hyperparameters and classes of other parts, in order, once each."""
        trees = [ast.parse(expression, mode="eval") for expression in self.arguments.values()]
        used = (node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name))
        return tuple(dict.fromkeys(used))


class Paper(Strict):
    authors: Line
    title: Line
    venue: Line
    year: int
    url: Line

    @property
    def citation(self) -> str:
        return f"{self.authors} ({self.year}), {self.title}, {self.venue}. {self.url}"


class Costs(Strict):
    """Multiples of FedAvg's, at the method's defaults and as an order of magnitude."""

    download: float = 1.0
    upload: float = 1.0
    compute: float = 1.0
    client_memory: float = 1.0
    server_memory: float = 1.0


class Method(Strict):
    """A recipe of parts with its paper."""

    id: Word
    name: Word
    paper: Paper
    purpose: Text
    recipe: Reference
    parts: tuple[Word, ...] = ()
    serves: dict[Circumstance, Strength] = Field(default_factory=dict)
    avoid: tuple[Caution, ...] = ()
    costs: Costs = Costs()


class RuleEntry(Strict):
    """Applies where all of `all_of` are present and none of `unless` (generated from the algorithm's own table)."""

    name: Word
    all_of: frozenset[str]
    unless: frozenset[str] = frozenset()
    reason: Text
    fatal: bool = True
    unit: Word | None = None
    """Only under differential privacy of this unit."""


def as_range(name: str, meaning: Hyperparameter) -> Range:
    grid = meaning.grid
    return Range(
        name=name,
        default=meaning.default,
        low=min(grid) if grid else None,
        high=max(grid) if grid else None,
        log=meaning.log,
        grid=grid,
    )
