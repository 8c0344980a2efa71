"""What is solved: requests as files, in the shapes of AgentFL-Bench's tasks, each with the method that was made for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from fedwright_crds.manifests import ManifestError, load_manifests
from fedwright_crds.request import FLStrategyRequest

SPECIALIST = "fedwright.dev/specialist"
"""The annotation of a task's file that names the catalogue's method for it."""
_SHIPPED = Path(str(files(__package__) / "tasks"))


class TaskError(Exception):
    """No such task, or a file that is none: the word, the reason, the mend."""


@dataclass(frozen=True)
class Task:
    request: FLStrategyRequest
    specialist: str

    @property
    def name(self) -> str:
        return self.request.metadata.name

    @property
    def baselines(self) -> tuple[str, ...]:
        """Methods that everyone is compared with beside FedAvg, which is in every run."""
        return tuple(one for one in dict.fromkeys(["fedprox", self.specialist]) if one != "fedavg")


def shipped() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in _SHIPPED.glob("*.yaml")))


def tasks_called(words: Sequence[str]) -> tuple[Task, ...]:
    """Shipped ones by name, others by their file; all that ship where none is named. Raises TaskError."""
    found = tuple(_task(word) for word in words or shipped())
    names = [one.name for one in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TaskError(f"{', '.join(twice)}: given more than once; name each task once")
    return found


def _task(word: str) -> Task:
    if word in shipped():
        return _read(_SHIPPED / f"{word}.yaml")
    if not Path(word).is_file():
        raise TaskError(f"{word!r} is no task; use {', '.join(shipped())}, or the file of a request")
    return _read(Path(word))


def _read(file: Path) -> Task:
    try:
        requests = [one for one in load_manifests(file) if isinstance(one, FLStrategyRequest)]
    except ManifestError as problem:
        raise TaskError(str(problem)) from None
    if len(requests) != 1:
        raise TaskError(f"{file}: kind: a task is exactly one FLStrategyRequest, and this has {len(requests)}")
    specialist = requests[0].metadata.annotations.get(SPECIALIST)
    if not specialist:
        raise TaskError(f"{file}: metadata.annotations: {SPECIALIST} is missing; name the method made for this task")
    return Task(requests[0], specialist)
