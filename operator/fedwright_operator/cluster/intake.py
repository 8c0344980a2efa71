"""Where what the watches bring goes: into the cache, and its root into a queue. Nothing is decided here."""

from collections.abc import Callable, Container
from dataclasses import dataclass

from fedwright_crds.kinds import KINDS
from fedwright_operator.cluster.api import CONFIG_MAP, Json, Type
from fedwright_operator.cluster.cache import Cache, root_of
from fedwright_operator.cluster.labels import PULSE, ROLE

Ask = Callable[[str], None]
Beat = Callable[[str], None]


@dataclass(frozen=True)
class Intake:
    """Of one kind of watch. Safe to use from many threads."""

    cache: Cache
    ask: Ask
    """Told the root of whatever changed."""
    beat: Beat
    """Told whose pulse has come; a pulse is not kept."""

    def present(self, body: Json) -> None:
        if _is_pulse(body):
            self.beat(str((body.get("data") or {}).get("by")))
        elif self.cache.put(body) or _is_untouched(body):
            self.ask(root_of(body))

    def deleted(self, body: Json) -> None:
        if not _is_pulse(body) and self.cache.drop(body, for_good=False):
            self.ask(root_of(body))

    def known(self, kind: Type, namespace: str) -> set[str]:
        """The uids of all that the cache holds of a kind; to be asked before what there is is asked for."""
        return self.cache.uids(kind.kind, namespace)

    def sweep(self, known: Container[str], there: Container[str]) -> list[Json]:
        """Of the known, what is not there any more has gone untold; what that was."""
        gone = self.cache.sweep(known, there)
        for body in gone:
            self.ask(root_of(body))
        return gone


def _is_untouched(body: Json) -> bool:
    """One of our own kind that has had no pass yet: it may be in the cache because another's pass made it."""
    return body["kind"] in KINDS and not body.get("status")


def _is_pulse(body: Json) -> bool:
    return bool(body["kind"] == CONFIG_MAP.kind and body["metadata"].get("labels", {}).get(ROLE) == PULSE)
