"""What the programs of judging have in common: their input document and their folders."""

from pathlib import Path

from fedwright_crds.base import Strict
from fedwright_crds.box import Box
from fedwright_crds.documents import JudgeSpec


def judge_spec(box: Box) -> JudgeSpec:
    return JudgeSpec.model_validate_json(box.input("judge.json").read_bytes())


def folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def write(path: Path, document: Strict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document.model_dump_json(by_alias=True, exclude_none=True))
