"""What a person says to the command line and what comes back."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from world import wish


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    status: int
    out: str
    error: str

    @property
    def last_line(self) -> str:
        return self.out.rstrip().splitlines()[-1]

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Person = Callable[..., Answer]


def manifest_of(name: str = "wish", **spec: Any) -> dict[str, Any]:
    """A small request as a manifest says it."""
    made = wish(name, **spec)
    return {
        "apiVersion": made.api_version,
        "kind": made.kind,
        "metadata": {"name": name},
        "spec": made.spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True),
    }
