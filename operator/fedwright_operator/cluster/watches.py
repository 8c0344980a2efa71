"""Watches of the cluster's own kinds, which come by the thousand: a list, then what changes, in a thread for each.

Kopf watches our own kinds (see handlers.py). What it does around every event costs more than all that is done here with a
Job or a pod.
"""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from threading import Event, Thread

from fedwright_operator.cluster.api import CONFIG_MAP, JOB, POD, Api, ApiError, AwayError, Type
from fedwright_operator.cluster.intake import Intake
from fedwright_operator.cluster.labels import FEDWRIGHT, MANAGED_BY, PULSE, RESULT, ROLE

WORKS = f"{MANAGED_BY}={FEDWRIGHT}"
SELECTORS = {JOB: WORKS, POD: WORKS, CONFIG_MAP: f"{WORKS},{ROLE} in ({RESULT},{PULSE})"}
"""What of the cluster's own kinds is watched: the API server sends no more than that."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 15.0
"""Before a watch that broke lists anew: doubled each time."""

log = logging.getLogger(__name__)


def start(api: Api, scopes: Sequence[str], intake: Intake) -> list["Watch"]:
    """Watches of all kinds in these namespaces, '' being every one."""
    found = [Watch(api, kind, scope, intake) for kind in SELECTORS for scope in scopes]
    for one in found:
        one.start()
    return found


def take_stock(api: Api, kind: Type, namespace: str, intake: Intake) -> str:
    """All that there is of a kind; the version from which to follow. What went while nobody watched is dropped."""
    before, uids, version = intake.known(kind, namespace), set[str](), ""
    for so_far, bodies in api.pages(kind, namespace, SELECTORS.get(kind, "")):
        version = so_far
        for body in bodies:
            uids.add(body["metadata"]["uid"])
            intake.present(body)
    intake.sweep(before, uids)
    return version


class Watch:
    """All that the selector lets through of a kind in a namespace."""

    def __init__(self, api: Api, kind: Type, namespace: str, intake: Intake) -> None:
        self._api, self._kind, self._namespace, self._intake = api, kind, namespace, intake
        self._listed, self._stopped = Event(), Event()

    def start(self) -> None:
        Thread(target=self._run, name=f"watch-{self._kind.plural}", daemon=True).start()

    def stop(self) -> None:
        """It tells of nothing more."""
        self._stopped.set()

    def listed(self, seconds: float) -> bool:
        """Wait so long; whether all that there was when it began has been told."""
        return self._listed.wait(seconds)

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopped.is_set():
            try:
                since = take_stock(self._api, self._kind, self._namespace, self._intake)
                self._listed.set()
                pause = FIRST_PAUSE_SECONDS
                while not self._stopped.is_set():
                    since = self._follow(since)
            except (AwayError, ApiError) as problem:
                if not _too_old(problem):
                    log.warning("watch of %s: %s", self._kind.plural, problem)
            except Exception:
                log.exception("watch of %s", self._kind.plural)
            self._stopped.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _follow(self, since: str) -> str:
        """Until the API server ends the watch; the version from which to go on."""
        for event, body in self._api.watch(self._kind, self._namespace, SELECTORS[self._kind], since):
            if self._stopped.is_set():
                break
            since = body["metadata"]["resourceVersion"]
            if event == "DELETED":
                self._intake.deleted(body)
            elif event != "BOOKMARK":
                self._intake.present(body)
        return since


def _too_old(problem: Exception) -> bool:
    """What happened since then is not kept any more: nothing is wrong, it is listed anew."""
    return isinstance(problem, ApiError) and problem.status == HTTPStatus.GONE
