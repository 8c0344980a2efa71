"""What a program sees of its box: folders below one root. Programs take paths from here and from nowhere else."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Box:
    """The folders of a step: `in/<name>` inputs, `from/<name>/` and `to/<name>/` handovers, `out/<name>` outputs, `scratch/`."""

    root: Path

    @classmethod
    def here(cls) -> "Box":
        return cls(Path(os.environ.get("FEDWRIGHT_BOX", "/box")))

    def input(self, name: str) -> Path:
        return self.root / "in" / name

    def secret(self, name: str) -> Path:
        """What a mind is given beside its inputs, and what is no part of the work: it changes nothing but who may ask a model."""
        return self.root / "secret" / name

    def received(self, handover: str) -> Path:
        return self.root / "from" / handover

    def handover(self, name: str) -> Path:
        return self.root / "to" / name

    def output(self, name: str) -> Path:
        return self.root / "out" / name

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"
