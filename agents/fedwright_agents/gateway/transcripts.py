"""Transcripts on disk: one file a call, `<folder>/<request uid>/<number>-<role>.json`, written once and whole."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from fedwright_agents.gateway.redaction import Redactor
from fedwright_crds.transcript import Transcript, call_digest


class RecordingError(Exception):
    """A folder of recordings that cannot be answered from: the file, the reason, the mend."""


class Transcripts:
    """A folder that is only ever added to."""

    def __init__(self, folder: Path, redactor: Redactor) -> None:
        self._folder, self._redactor = folder, redactor

    def write(self, transcript: Transcript) -> Path:
        """On the disk when this returns. FileExistsError where the number is taken."""
        folder = self._folder / transcript.request_uid
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / f"{transcript.number:06d}-{transcript.role}.json"
        wire = self._redactor.value(transcript.to_wire())
        text = json.dumps(wire, indent=1, ensure_ascii=False, allow_nan=False)
        _write_once(file, f"{text}\n".encode())
        return file


def recordings(folder: Path) -> Iterator[Transcript]:
    """Every transcript of a folder: requests by name, calls by number. RecordingError."""
    if not folder.is_dir():
        raise RecordingError(f"{folder} is no folder; name one that holds <request>/<number>-<role>.json")
    for file in sorted(folder.glob("*/*-*.json"), key=lambda one: (one.parent.name, one.name)):
        yield _read(file)


def _read(file: Path) -> Transcript:
    try:
        found = Transcript.model_validate_json(file.read_bytes())
    except OSError as problem:
        raise RecordingError(f"{file}: {problem.strerror}; make it readable") from None
    except ValidationError as problem:
        error = problem.errors(include_url=False)[0]
        where = ".".join(map(str, error["loc"])) or "the file"
        raise RecordingError(f"{file}: {where}: {error['msg']}; record the call again") from None
    digest = call_digest(found.role, found.profile, found.asked)
    if digest != found.digest:
        raise RecordingError(f"{file}: digest is not that of what was asked, {digest}; it was edited, record it again")
    return found


def _write_once(file: Path, data: bytes) -> None:
    """A link can be made once, and only of what is whole."""
    draft = file.with_suffix(".draft")
    with draft.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(draft, file)
    finally:
        draft.unlink()
