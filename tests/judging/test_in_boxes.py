"""Judging in the real boxes: pooled, and with a process per client that holds only its shard."""

import threading
from collections.abc import Callable, Iterator

import pytest
from chain import FEDAVG, judge_of, spec_of

from fedwright_boxes import LocalBoxes, sandbox_available
from fedwright_crds.base import Digest, canonical, digest_of
from fedwright_crds.documents import CandidateCode, JudgeSpec, Score
from fedwright_crds.judging_work import judging_work, verification_work
from fedwright_crds.work import Input, Outcome, Work, WorkResult

FEDREP = "from fedwright_federation.strategies.fedrep import fedrep\n\ndef build(hyperparameters):\n    return fedrep(lr=0.3)\n"
BORROWER = """
from dataclasses import dataclass, replace

import torch

from fedwright_federation.algorithm import LossTerm
from fedwright_federation.strategies import fedavg

KEPT = []

@dataclass(frozen=True)
class Borrowing(LossTerm):
    def __call__(self, step):
        loss = torch.nn.functional.cross_entropy(step.out.logits, step.y)
        for x, y in KEPT:
            loss = loss + torch.nn.functional.cross_entropy(step.model.forward(step.weights, x, True).logits, y)
        KEPT[:] = [(step.x, step.y)]
        return loss

def build(hyperparameters):
    return replace(fedavg(lr=0.3), losses=(Borrowing(),))
"""
TASK = {"data": {"source": "Digits"}, "clients": 4, "partition": {"kind": "Pathological"}}

Run = Callable[..., tuple[WorkResult, Score | None]]


class Memory:
    def __init__(self) -> None:
        self.kept: dict[Digest, bytes] = {}

    def read(self, digest: Digest) -> bytes:
        return self.kept[digest]

    def write(self, data: bytes) -> Digest:
        self.kept[digest_of(data)] = data
        return digest_of(data)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    assert sandbox_available() is None
    memory = Memory()
    with LocalBoxes(memory, scratch=tmp_path_factory.mktemp("scratch"), slots=6) as boxes:

        def judge(spec: JudgeSpec, source: str, builder: Callable[..., Work]) -> tuple[WorkResult, Score | None]:
            code = CandidateCode(files={"strategy.py": source})
            work = judge_of(spec, code, builder)
            documents = {"judge.json": spec, "code.json": code}
            inputs = tuple(
                Input(name=one.name, digest=memory.write(canonical(documents[one.name].to_wire())))
                for one in work.inputs
            )
            result = boxes.run(work.model_copy(update={"inputs": inputs}), threading.Event())
            written = result.outputs.get("score.json")
            return result, Score.model_validate_json(memory.read(written)) if written else None

        yield judge


def test_a_candidate_is_judged(run: Run) -> None:
    result, score = run(spec_of(TASK, probe=True, evaluations=2), FEDAVG, judging_work)
    assert result.outcome is Outcome.SUCCEEDED, result.model_dump_json(indent=1)
    assert score is not None and score.ok and score.metrics["Accuracy/Global"] > 0.1


def test_a_private_run_is_accounted_for_in_its_box(run: Run) -> None:
    private = {"unit": "Client", "epsilon": 8.0, "delta": 0.01}
    result, score = run(spec_of(TASK, privacy=private), FEDAVG, judging_work)
    assert result.outcome is Outcome.SUCCEEDED, result.model_dump_json(indent=1)
    assert score is not None and score.ok and 7.0 < (score.epsilon or 0) <= 8.0


@pytest.mark.parametrize("source", [FEDAVG, FEDREP], ids=["FedAvg", "FedRep"])
def test_an_honest_candidate_computes_the_same_with_a_process_per_client(source: str, run: Run) -> None:
    result, score = run(spec_of(TASK, sequential=True, evaluations=2), source, verification_work)
    assert result.outcome is Outcome.SUCCEEDED, result.model_dump_json(indent=1)
    assert score is not None and score.ok and score.largest_difference == 0.0
    fleet = next(verdict for verdict in result.verdicts if verdict.step == "fleet")
    assert fleet.rounds == 4 and fleet.bytes_up and fleet.bytes_down
    if source == FEDAVG:
        assert fleet.bytes_up == round(score.metrics["UploadMebibytes/Global"] * 2**20)


def test_one_that_trains_on_other_clients_rows_is_not_federated(run: Run) -> None:
    result, score = run(spec_of(TASK, sequential=True), BORROWER, verification_work)
    assert result.outcome is Outcome.SUCCEEDED, result.model_dump_json(indent=1)
    assert score is not None and not score.ok
    assert score.reason.startswith("NotFederated:") and (score.largest_difference or 0) > 1e-3


def test_one_that_reads_another_clients_shard_is_not_federated(run: Run) -> None:
    """Pooled, all shards lie in one folder; in the fleet it finds its own alone."""
    found = "Path('/box/from/shards/client-0.npz')"
    thief = BORROWER.replace("KEPT[:] = [(step.x, step.y)]", "pass").replace(
        "KEPT = []",
        f"""
from pathlib import Path
import numpy as np

KEPT = []
if {found}.exists():
    with np.load({found}) as file:
        KEPT.append((torch.from_numpy(file["x"]), torch.from_numpy(file["y"])))
""",
    )
    result, score = run(spec_of(TASK, sequential=True), thief, verification_work)
    assert result.outcome is Outcome.SUCCEEDED, result.model_dump_json(indent=1)
    assert score is not None and score.reason.startswith("NotFederated:")


def test_one_that_looks_for_labels_and_inputs_finds_none(run: Run) -> None:
    reader = FEDAVG + "\nfrom pathlib import Path\nassert not list(Path('/box').rglob('*labels*'))\n"
    reader += "assert not list(Path('/box').rglob('*inputs*'))\n"
    result, score = run(spec_of(TASK), reader, judging_work)
    assert result.outcome is Outcome.SUCCEEDED, result.model_dump_json(indent=1)
    assert score is not None and score.ok
