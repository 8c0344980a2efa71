"""A work in pods: one launcher after another over folders, with what comes out as it does on one machine."""

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from chain import FEDAVG, judge_of, spec_of

from fedwright_boxes import LocalBoxes
from fedwright_boxes.pod import contract
from fedwright_crds.base import Digest, canonical, digest_of
from fedwright_crds.documents import CandidateCode
from fedwright_crds.judging_work import verification_work
from fedwright_crds.work import Input, Outcome, Reason, Work

from .conftest import Pod

TASK = {"data": {"source": "Digits"}, "clients": 4, "partition": {"kind": "Pathological"}}


class Memory:
    def __init__(self) -> None:
        self.kept: dict[Digest, bytes] = {}

    def read(self, digest: Digest) -> bytes:
        return self.kept[digest]

    def write(self, data: bytes) -> Digest:
        self.kept[digest_of(data)] = data
        return digest_of(data)


def verification() -> tuple[Work, Mapping[str, bytes]]:
    spec, code = spec_of(TASK, sequential=True, evaluations=2), CandidateCode(files={"strategy.py": FEDAVG})
    data = {"judge.json": canonical(spec.to_wire()), "code.json": canonical(code.to_wire())}
    work = judge_of(spec, code, verification_work)
    given = tuple(Input(name=one.name, digest=digest_of(data[one.name])) for one in work.inputs)
    return work.model_copy(update={"inputs": given}), data


@pytest.mark.slow
def test_a_judged_work_comes_to_the_same_as_on_one_machine_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    """Prepare, simulate, a fleet, two predictions and the score; so each handover was the same, too."""
    work, data = verification()
    memory = Memory()
    for content in data.values():
        memory.write(content)
    with LocalBoxes(memory, scratch=tmp_path) as boxes:
        local = boxes.run(work, threading.Event())
    assert local.outcome == Outcome.SUCCEEDED, local
    pod = Pod(folder, work, data)
    for step, expected in zip(work.steps, local.verdicts, strict=True):
        container = pod.run(step.name)
        assert (container.code, container.verdict.reason) == (0, Reason.COMPLETED), container
        counted = {"rounds", "bytes_up", "bytes_down", "text"}
        assert container.verdict.model_dump(include=counted) == expected.model_dump(include=counted)
    container, delivered = pod.deliver()
    assert container.code == 0, container
    assert {name: digest_of(content) for name, content in delivered.items()} == dict(local.outputs)
    note = contract.DeliveryNote.model_validate_json(container.said)
    assert {name: output.digest for name, output in note.outputs.items()} == dict(local.outputs)
