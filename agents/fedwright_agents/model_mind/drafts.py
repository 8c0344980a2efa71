"""The forms in which a model answers: less than the platform's documents, and lenient about what is too much."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from fedwright_crds.base import Line, Text, Word
from fedwright_crds.task import ModelSpec

Short = Annotated[str, BeforeValidator(lambda value: value[:1024] if isinstance(value, str) else value), Line]
Long = Annotated[str, BeforeValidator(lambda value: value[:8000] if isinstance(value, str) else value), Text]


class Draft(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", allow_inf_nan=False)


class DraftRange(Draft):
    name: Word
    default: float
    grid: Annotated[tuple[float, ...], Field(min_length=1, max_length=12)]


class DraftPart(Draft):
    slot: Word
    name: Word
    reason: Short = ""


class DraftIdea(Draft):
    title: Annotated[str, Field(min_length=1, max_length=120)]
    method: Word
    parent: str | None = None
    parts: Annotated[tuple[DraftPart, ...], Field(max_length=12)] = ()
    hyperparameters: Annotated[tuple[DraftRange, ...], Field(max_length=8)] = ()
    hypothesis: Annotated[Long, Field(min_length=1)]
    expected_effect: Short = ""
    source: Short = ""


class DraftQuestion(Draft):
    id: Word
    text: Annotated[Short, Field(min_length=1)]
    options: Annotated[tuple[Short, ...], Field(max_length=8)] = ()
    default: Annotated[Short, Field(min_length=1)]


class DraftSubtask(Draft):
    name: Word
    goal: Short
    interface: Short = ""
    validation: Short = ""


class DraftPlan(Draft):
    questions: Annotated[tuple[DraftQuestion, ...], Field(max_length=3)] = ()
    summary: Long = ""
    model: ModelSpec | None = None
    candidates: Annotated[tuple[DraftIdea, ...], Field(max_length=32)] = ()
    criteria: Annotated[tuple[Short, ...], Field(max_length=3)] = ()
    subtasks: Annotated[tuple[DraftSubtask, ...], Field(max_length=16)] = ()
    fallback: Long = ""
    sources: Annotated[tuple[Short, ...], Field(max_length=32)] = ()


class DraftReflection(Draft):
    critique: Long = ""
    proposals: Annotated[tuple[DraftIdea, ...], Field(max_length=64)]
