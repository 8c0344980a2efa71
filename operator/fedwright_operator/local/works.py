"""The record of works: each result written once under its WorkId, and a line for each start.

A finished id is never started again. Who wanted a work is kept too, so that its result can go when no one is
left who did.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fedwright_crds.work import Work, WorkResult
from fedwright_operator.local.files import append_line, write_once, write_whole
from fedwright_operator.shell.clock import now


class AlreadyFinishedError(Exception):
    """The WorkId has a result; it must not be started or finished again."""


class Works(Mapping[str, WorkResult]):
    """Finished work by id, read from disk when first asked for."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, WorkResult] = {}

    @property
    def starts(self) -> Path:
        return self._root / "started.jsonl"

    def start(self, work: Work) -> None:
        """Put on record that the work is being started. Raises AlreadyFinishedError."""
        if work.id in self:
            raise AlreadyFinishedError(f"work {work.id} ({work.kind}) has finished; it is never started again")
        write_whole(self._definition(work.id), json.dumps(work.to_wire()).encode())
        line = {"id": work.id, "kind": work.kind, "at": now().isoformat(), "pid": os.getpid()}
        append_line(self.starts, json.dumps(line))

    def finish(self, result: WorkResult) -> None:
        """Keep the result, for good. Raises AlreadyFinishedError."""
        if not write_once(self._result(result.id), json.dumps(result.to_wire()).encode()):
            raise AlreadyFinishedError(f"work {result.id} ({result.kind}) has finished; there is no second result")
        self._known[result.id] = result

    def definition(self, work_id: str) -> Work | None:
        """The work as it was started, labels included."""
        try:
            return Work.model_validate_json(self._definition(work_id).read_bytes())
        except FileNotFoundError:
            return None

    def remove(self, work_id: str) -> None:
        self._known.pop(work_id, None)
        self._result(work_id).unlink(missing_ok=True)
        self._definition(work_id).unlink(missing_ok=True)

    # -- who wanted what --------------------------------------------------------------------------
    def wanted(self, root: str) -> frozenset[str]:
        """Ids of all work that the resource of this uid, or one that it owns, ever wanted or looked up."""
        try:
            return frozenset(self._wanted(root).read_text().split())
        except FileNotFoundError:
            return frozenset()

    def want(self, root: str, ids: Iterable[str]) -> None:
        for one in ids:
            append_line(self._wanted(root), one)

    def roots(self) -> frozenset[str]:
        return frozenset(path.name for path in (self._root / "wanted").glob("[!.]*"))

    def forget(self, root: str) -> None:
        self._wanted(root).unlink(missing_ok=True)

    # -- Mapping ----------------------------------------------------------------------------------
    def __getitem__(self, work_id: str) -> WorkResult:
        if work_id not in self._known:
            try:
                data = self._result(work_id).read_bytes()
            except FileNotFoundError:
                raise KeyError(work_id) from None
            self._known[work_id] = WorkResult.model_validate_json(data)
        return self._known[work_id]

    def __iter__(self) -> Iterator[str]:
        return (path.stem for path in (self._root / "results").glob("[!.]*.json"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _result(self, work_id: str) -> Path:
        return self._root / "results" / f"{work_id}.json"

    def _definition(self, work_id: str) -> Path:
        return self._root / "definitions" / f"{work_id}.json"

    def _wanted(self, root: str) -> Path:
        return self._root / "wanted" / root
