"""How far running Platform steps are: the figures in the last line of JSON that each has printed, for display alone.

What is read was printed in a pod, so it is taken for hostile: names and finite numbers of a plain size come out of it, or
nothing. A log that cannot be read is an older figure, and no error.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fedwright_operator.cluster import names
from fedwright_operator.cluster.api import POD, Api, ApiError, AwayError, Json
from fedwright_operator.cluster.cache import Cache
from fedwright_operator.cluster.fit import Network
from fedwright_operator.cluster.labels import WORK
from fedwright_operator.cluster.pods import Pod

LOOK_SECONDS = 3.0
TROUBLE_SECONDS = 60.0
"""Until the next look where a log could not be read: a node that is away holds up whoever asks."""
FRESH_SECONDS = 3600
"""Older lines are not asked for."""
MOST_FIGURES = 16
LARGEST = 1e9
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}", re.ASCII)

log = logging.getLogger(__name__)

Figures = Mapping[str, float]


@dataclass(frozen=True)
class _Look:
    """What is known of one work, and when to look again."""

    figures: Figures = field(default_factory=dict)
    due: float = 0.0


class Progress:
    """Of the works of all roots. One root is asked about by one thread at a time."""

    def __init__(self, api: Api, cache: Cache, clock: Callable[[], float] = time.monotonic) -> None:
        self._api, self._cache, self._clock = api, cache, clock
        self._looks: dict[str, dict[str, _Look]] = {}

    def of(self, root: str) -> dict[str, Figures]:
        """By work, of those whose Platform step runs now. Each one's log is read every few seconds at most."""
        before, looks = self._looks.get(root, {}), {}
        for pod in self._cache.group(root, POD.kind):
            if container := _running_step(pod):
                work = pod["metadata"]["labels"][WORK]
                looks[work] = self._look(pod, container, before.get(work, _Look()))
        if looks:
            self._looks[root] = looks
        else:
            self.forget(root)
        return {work: look.figures for work, look in looks.items()}

    def due(self, root: str) -> float:
        """In how many seconds to look again; infinity where nothing runs."""
        found = [look.due for look in self._looks.get(root, {}).values()]
        return min(found, default=float("inf")) - self._clock()

    def forget(self, root: str) -> None:
        self._looks.pop(root, None)

    def _look(self, pod: Json, container: str, last: _Look) -> _Look:
        if self._clock() < last.due:
            return last
        metadata = pod["metadata"]
        try:
            line = self._api.last_line(metadata["namespace"], metadata["name"], container, FRESH_SECONDS)
        except (ApiError, AwayError) as problem:
            log.info("no progress of %s: %s", metadata["name"], problem)
            return _Look(last.figures, self._clock() + TROUBLE_SECONDS)
        return _Look(figures(line) or last.figures, self._clock() + LOOK_SECONDS)


def figures(line: bytes) -> dict[str, float]:
    """The numbers in a line of JSON; {} if it is none."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    found = {name: value for name, value in said.items() if _NAME.fullmatch(name) and _is_plain(value)}
    return {name: float(value) for name, value in list(found.items())[:MOST_FIGURES]}


def _is_plain(value: object) -> bool:
    """Infinity, and what is no number, is not; nor is it true that True is one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def _running_step(pod: Json) -> str:
    """The container of the Platform step that runs; '' if none does, or the pod is on its way out."""
    metadata = pod["metadata"]
    labels = metadata.get("labels", {})
    if WORK not in labels or labels.get(names.NETWORK) != Network.FEDERATION or metadata.get("deletionTimestamp"):
        return ""
    steps = [one["name"] for one in pod.get("status", {}).get("initContainerStatuses") or ()]
    return next((one.name for one in Pod.of(pod, steps).containers if one.running is not None), "")
