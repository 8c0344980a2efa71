"""What a simulation says of itself beside its models. It comes from a box that ran generated code, so it is checked."""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from fedwright_crds.base import Strict

_Count = Annotated[int, Field(ge=0, le=2**50)]
_Seconds = Annotated[float, Field(ge=0, le=1e12)]
_MOST = 1024


class Declared(Strict):
    """Cumulative figures at each evaluated round, in order."""

    rounds: Annotated[tuple[Annotated[int, Field(ge=1, le=10**6)], ...], Field(min_length=1, max_length=_MOST)]
    upload_bytes: Annotated[tuple[_Count, ...], Field(max_length=_MOST)]
    download_bytes: Annotated[tuple[_Count, ...], Field(max_length=_MOST)]
    seconds: Annotated[tuple[_Seconds, ...], Field(max_length=_MOST)]
    """Simulated."""
    steps: Annotated[tuple[_Count, ...], Field(max_length=_MOST)]
    """Local steps, summed over clients."""
    epsilon: Annotated[float, Field(ge=0, le=1e9)] | None = None
    own_evaluation: bool = False
    """Whether prediction needs the strategy itself: its model is not the task's, or its answers are not the model's logits."""

    @model_validator(mode="after")
    def _in_step(self) -> Self:
        for name in ("rounds", "upload_bytes", "download_bytes", "seconds", "steps"):
            figures = getattr(self, name)
            if len(figures) != len(self.rounds):
                raise ValueError(f"{name} has {len(figures)} figures for {len(self.rounds)} evaluations")
            if any(after < before for before, after in pairwise(figures)):
                raise ValueError(f"{name} falls, and it counts what was spent so far")
        return self
