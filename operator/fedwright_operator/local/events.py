"""Events: one line for each change worth telling a person, told once."""

import json
from collections.abc import Iterator
from pathlib import Path

from fedwright_crds.base import Line, Strict, Text, Word
from fedwright_operator.local.files import append_line
from fedwright_operator.reconcile.api import Event
from fedwright_operator.shell.clock import now, stamp
from fedwright_operator.shell.kinds import AnyResource

MOST_CHARACTERS = 16000
"""Of a message: what boxes and users' functions say may be longer than a resource can hold."""


class Told(Strict):
    """An event with whom it is about and when."""

    at: Line
    kind: Word
    namespace: Line
    name: Line
    uid: Line
    reason: Word
    message: Text = ""
    warning: bool = False


class Events:
    """The events of one home. The same words about the same resource follow each other only once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = {told.uid: (told.reason, told.message) for told in self}

    def tell(self, about: AnyResource, event: Event) -> Told | None:
        """Write it down. None if it is what was said last about that resource."""
        uid = about.metadata.uid or ""
        message = event.message[:MOST_CHARACTERS]
        if self._last.get(uid) == (event.reason, message):
            return None
        told = Told(
            at=stamp(now()),
            kind=about.kind,
            namespace=about.metadata.namespace,
            name=about.metadata.name,
            uid=uid,
            reason=event.reason,
            message=message,
            warning=event.warning,
        )
        append_line(self._path, json.dumps(told.to_wire()))
        self._last[uid] = (event.reason, message)
        return told

    def __iter__(self) -> Iterator[Told]:
        if not self._path.exists():
            return
        with self._path.open() as lines:
            for line in lines:
                try:
                    yield Told.model_validate_json(line)
                except ValueError:
                    continue
