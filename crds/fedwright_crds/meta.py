"""Metadata, conditions and the reference types that all kinds share."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fedwright_crds.base import LONGEST_LABEL, KeyedBy, Line, Name, Namespace, Strict, Text, Word

_WORD = "[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
Key = Annotated[str, StringConstraints(max_length=317, pattern=rf"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?{_WORD}$")]
"""A label's or annotation's: a prefix of at most 253 characters, a slash, a name of at most 63."""
LabelValue = Annotated[str, StringConstraints(max_length=LONGEST_LABEL, pattern=rf"^({_WORD})?$")]
Labels = Annotated[dict[Key, LabelValue], Field(max_length=64)]
Annotations = Annotated[dict[Key, Annotated[str, Field(max_length=262144)]], Field(max_length=64)]


class OwnerReference(Strict):
    api_version: Line
    kind: Word
    name: Name
    uid: Line
    controller: bool = True
    block_owner_deletion: bool = True


class Metadata(Strict):
    """The part of Kubernetes' ObjectMeta that the project reads and writes."""

    name: Name
    namespace: Namespace = "default"
    labels: Labels = Field(default_factory=dict)
    annotations: Annotations = Field(default_factory=dict)
    owner_references: Annotated[tuple[OwnerReference, ...], Field(max_length=64)] = ()
    uid: Line | None = None
    resource_version: Line | None = None
    generation: int | None = None
    creation_timestamp: Line | None = None
    deletion_timestamp: Line | None = None
    finalizers: Annotated[tuple[Line, ...], Field(max_length=64)] = ()


class Truth(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Strict):
    """A fact by the Kubernetes API conventions: an adjective or past participle, its truth, a CamelCase reason, words for a person."""

    type: Word
    status: Truth
    reason: Annotated[Word, Field(description="CamelCase.")]
    message: Text = ""
    last_transition_time: Line
    observed_generation: Annotated[int, Field(ge=0)] = 0


Conditions = Annotated[tuple[Condition, ...], Field(max_length=16), KeyedBy(("type",))]


class Spent(Strict):
    """What has been used of the budgets."""

    candidates: int = 0
    simulated_rounds: int = 0
    works: int = 0
    box_seconds: float = 0.0
    tokens: int = 0
    money_usd: float = 0.0


class Resource(Strict):
    """What every kind has."""

    api_version: Literal["fedwright.dev/v1alpha1"] = "fedwright.dev/v1alpha1"
    metadata: Metadata
