"""The roles of the search, each a typed function from a document to a document.

Whoever stands behind a role, a language model or the catalogue, is told by a profile's name and knows nothing of the
others. A role never executes generated code.
"""

from typing import Protocol

from fedwright_crds.documents import (
    CodeInput,
    CodeOutput,
    DebugInput,
    PlanInput,
    PlanOutput,
    ReflectInput,
    ReflectOutput,
    ReviewInput,
    ReviewOutput,
    TuneInput,
    TuneOutput,
)


class Planner(Protocol):
    """Questions to the person, or a plan: the model, the baselines, the first candidates, the criteria."""

    def __call__(self, asked: PlanInput, /) -> PlanOutput: ...


class Coder(Protocol):
    """A candidate's code, with tests of its own, or why there is none."""

    def __call__(self, asked: CodeInput, /) -> CodeOutput: ...


class Debugger(Protocol):
    """The next draft after one that failed its tests, or why it cannot be mended."""

    def __call__(self, asked: DebugInput, /) -> CodeOutput: ...


class Reflector(Protocol):
    """What the outcomes say, and what to try next."""

    def __call__(self, asked: ReflectInput, /) -> ReflectOutput: ...


class Reviewer(Protocol):
    """Grades of proposals by dimension, in [0, 1]."""

    def __call__(self, asked: ReviewInput, /) -> ReviewOutput: ...


class Tuner(Protocol):
    """The next hyperparameters to try."""

    def __call__(self, asked: TuneInput, /) -> TuneOutput: ...
