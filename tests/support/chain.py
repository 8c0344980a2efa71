"""Judging without boxes: the steps of a work run one after another in this process, each in folders of its own."""

import importlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fedwright_crds.base import Strict, canonical, digest_of
from fedwright_crds.documents import CandidateCode, JudgeSpec, Score
from fedwright_crds.judging_work import judging_work
from fedwright_crds.work import BoxKind, Input, Step, Work
from fedwright_federation.judging.inspect import SEED, facts_of
from fedwright_federation.tasks import load_task

IMAGES = {kind: digest_of(kind.encode()) for kind in BoxKind}
FEDAVG = """
from fedwright_federation.strategies import fedavg

def build(hyperparameters):
    return fedavg(lr=hyperparameters.get("lr", 0.1))
"""


class Chain:
    """Handovers lie below `root/handovers`; a step sees copies of those that it names, as in a box."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, documents: Mapping[str, Strict]) -> None:
        self.root, self.monkeypatch, self.documents = root, monkeypatch, documents

    def run(self, work: Work, between: Callable[[str, Path], None] | None = None) -> Path:
        """Run all steps; `between(step, handovers)` may meddle after each. Returns the folder of outputs."""
        caps = {handover.name: handover.max_bytes for handover in work.handovers}
        for step in work.steps:
            assert self.step(step) == 0, step.name
            for name in step.writes:
                assert self.size(name) <= caps[name], f"{step.name}: handover {name} is too large"
            if between:
                between(step.name, self.root / "handovers")
        return self.root / "out"

    def step(self, step: Step) -> int:
        box = self.root / f"box-{step.name}"
        self._furnish(box, step)
        self.monkeypatch.setenv("FEDWRIGHT_BOX", str(box))
        status: int = importlib.import_module(step.program[0]).main(list(step.program[1:]))
        for name in step.writes:
            shutil.rmtree(self.root / "handovers" / name, ignore_errors=True)
            shutil.copytree(box / "to" / name, self.root / "handovers" / name)
        for name in step.outputs:
            if (box / "out" / name).exists():
                (self.root / "out").mkdir(exist_ok=True)
                shutil.copy(box / "out" / name, self.root / "out" / name)
        return status

    def size(self, handover: str) -> int:
        return sum(path.stat().st_size for path in (self.root / "handovers" / handover).iterdir())

    def _furnish(self, box: Path, step: Step) -> None:
        shutil.rmtree(box, ignore_errors=True)
        (box / "in").mkdir(parents=True)
        for name in step.inputs:
            (box / "in" / name).write_text(self.documents[name].model_dump_json(by_alias=True, exclude_none=True))
        for name in step.reads:
            shutil.copytree(self.root / "handovers" / name, box / "from" / name, symlinks=True)
        for name in step.writes:
            (box / "to" / name).mkdir(parents=True)


def spec_of(task: Mapping[str, object], **fields: object) -> JudgeSpec:
    wire = {
        "task": task,
        "model": {"architecture": "Mlp", "hidden": [16]},
        "objective": {},
        "rounds": 4,
        "seed": 1,
        "split": "Selection",
        **fields,
    }
    return JudgeSpec.model_validate_json(canonical(wire))


def named(name: str, document: Strict) -> Input:
    return Input(name=name, digest=digest_of(canonical(document.to_wire())))


def judge_of(spec: JudgeSpec, code: CandidateCode, builder: Callable[..., Work] = judging_work) -> Work:
    facts = facts_of(load_task(spec.task, SEED))
    return builder(named("judge.json", spec), named("code.json", code), IMAGES, spec, facts)


def judged(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    spec: JudgeSpec,
    source: str = FEDAVG,
    between: Callable[[str, Path], None] | None = None,
) -> Score:
    code = CandidateCode(files={"strategy.py": source})
    chain = Chain(root, monkeypatch, {"judge.json": spec, "code.json": code})
    out = chain.run(judge_of(spec, code), between)
    return Score.model_validate_json((out / "score.json").read_bytes())
