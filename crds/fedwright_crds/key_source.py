"""Where a profile's server is, where its key is found, and money: what profiles of models and of searches have in common."""

import re
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from fedwright_crds.base import Strict

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s@?#]+$", min_length=8, max_length=512)]
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
Variable = Annotated[str, StringConstraints(pattern=VARIABLE, min_length=1, max_length=128)]
FileName = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Usd = Annotated[float, Field(ge=0, le=1e6)]


class KeySource(Strict):
    """Where the gateway finds the key of a profile: an environment variable of its own, or a file beside the profiles'."""

    environment: Variable | None = None
    file: FileName | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_key_itself(cls, given: Any) -> Any:
        """Before any other check, since those repeat what was written, and that might be a key."""
        if isinstance(given, str):
            raise ValueError("text is never the key itself; write {environment: VARIABLE} or {file: PATH}")
        if isinstance(given, dict) and not re.fullmatch(VARIABLE, str(given.get("environment", "A"))):
            raise ValueError("environment is no name of a variable; write the name, never the key itself")
        return given

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.environment is None) == (self.file is None):
            raise ValueError("exactly one of environment and file says where the key is; write one")
        return self

    def __str__(self) -> str:
        return f"the environment variable {self.environment}" if self.environment else f"the file {self.file}"
