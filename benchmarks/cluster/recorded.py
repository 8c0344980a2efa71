"""What works of a finished home came to, by the ids that the same works have on a cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedwright_crds.base import Digest
from fedwright_crds.work import BoxKind, Verdict, WorkResult
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.home import Home
from fedwright_operator.local.works import Works


@dataclass(frozen=True)
class Delivery:
    """What the containers of a pod say."""

    verdicts: tuple[Verdict, ...]
    outputs: Mapping[str, bytes]


class Recorded:
    """Ids differ by the images alone. A work that was not recorded, such as a report with its times, is like another of its kind."""

    def __init__(self, home: Home, images: Mapping[BoxKind, Digest]) -> None:
        self._works, self._artifacts = Works(home.works), Artifacts(home.artifacts)
        self._by_id: dict[str, WorkResult] = {}
        self._by_kind: dict[str, WorkResult] = {}
        for result in self._works.values():
            work = self._works.definition(result.id)
            assert work, "a result has its work beside it"
            there = work.model_copy(update={"images": {kind: images[kind] for kind in work.images}})
            self._by_id[there.id] = self._by_kind[work.kind] = result

    def of(self, work_id: str, kind: str) -> Delivery:
        result = self._by_id.get(work_id) or self._by_kind[kind]
        outputs = {name: self._artifacts.read(digest) for name, digest in result.outputs.items()}
        return Delivery(result.verdicts, outputs)


def recorded_at(folder: Path, images: Mapping[BoxKind, Digest]) -> Recorded:
    return Recorded(Home(folder), images)
