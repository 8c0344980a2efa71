"""Candidates that break or cheat, written by a scripted coder: each is Rejected with its reason, and the request goes on."""

from pathlib import Path
from threading import Event

import pytest
from whole_requests import processes_about, result, write_request

from fedwright_boxes import LocalBoxes
from fedwright_crds.candidate import Candidate, CandidatePhase
from fedwright_crds.documents import CandidateCode, CodeInput, CodeOutput
from fedwright_crds.work import Outcome, Work, WorkResult
from fedwright_operator.cli import main
from fedwright_operator.local import machine
from fedwright_operator.local.home import Home
from fedwright_operator.local.store import Store

HEAD = """
from dataclasses import dataclass, replace

import numpy as np
import torch

from fedwright_federation.algorithm import LossTerm, ServerOptimizer
from fedwright_federation.strategies.fedavg import fedavg

CALLS = []
"""
LOSS = """
@dataclass(frozen=True)
class Loss(LossTerm):
    def __call__(self, step):
        CALLS.append(1)
        loss = torch.nn.functional.cross_entropy(step.out.logits, step.y)
        {body}
        return loss


def build(hyperparameters):
    return replace(fedavg(lr=0.1), losses=(Loss(),))
"""
SERVER = """
@dataclass(frozen=True)
class Server(ServerOptimizer):
    def step(self, x, aggregate, state, round):
        moved = {{key: value + aggregate.update[key] for key, value in x.items()}}
        {body}
        return moved, state


def build(hyperparameters):
    return replace(fedavg(lr=0.1), server=Server())
"""
OWN_TEST = "from .strategy import build\n\n\ndef test_it_builds():\n    assert build({}).name\n"
LATER = "round.population == 20"
"""Only in the real task: the contract tests have fewer clients."""


def loss(body: str) -> str:
    return HEAD + LOSS.format(body=body)


def server(body: str) -> str:
    return HEAD + SERVER.format(body=body)


BORROWER = (
    HEAD
    + LOSS.split("def build")[0].format(body="CALLS.append(float(step.x.mean()))")
    + SERVER.format(
        body=f"if {LATER} and CALLS: moved = {{key: value * np.float32(1 + np.mean(CALLS) / 100) for key, value in moved.items()}}"
        "\n        CALLS.clear()"
    ).replace("server=Server()", "server=Server(), losses=(Loss(),)")
)
"""What the clients saw reaches the server beside their uploads, which a process per client makes impossible."""

WATCHFUL = f"""
from dataclasses import dataclass, replace

from fedwright_federation.algorithm import CrossEntropy, LossTerm, ServerOptimizer
from fedwright_federation.strategies.fedavg import fedavg

AXES = []


@dataclass(frozen=True)
class Loss(LossTerm):
    cohort = True

    def __call__(self, step):
        AXES.append(step.y.dim())
        return CrossEntropy()(step)


@dataclass(frozen=True)
class Server(ServerOptimizer):
    def step(self, x, aggregate, state, round):
        unwatched = {LATER} and round.total == 4 and 2 in AXES
        AXES.clear()
        return {{key: value + (5 if unwatched else 1) * aggregate.update[key] for key, value in x.items()}}, state


def build(hyperparameters):
    return replace(fedavg(lr=0.1), losses=(Loss(),), server=Server())
"""
"""Better at full length where all clients are in one process: it behaves wherever it believes itself checked."""

HOSTILE = {
    "crashes": (server(f"if {LATER}: raise RuntimeError('no more')"), "Crashed"),
    "loops": (loss("while len(CALLS) > 0: pass"), "DeadlineExceeded"),
    "floods": (server(f"while {LATER}: print('x' * 100000)"), "OutputFlood"),
    "forges": (server('print(\'{"ok": true, "metrics": {"Accuracy/Global": 1.0}}\')\n        moved = x'), ""),
    "nan": (server(f"if {LATER}: moved = {{key: value * np.nan for key, value in moved.items()}}"), "finite"),
    "shapes": (server(f"if {LATER}: moved = {{key: value[:1] for key, value in moved.items()}}"), ""),
    "borrows": (BORROWER, "NotFederated"),
    "watches": (WATCHFUL, "NotFederated"),
    "imports": (
        HEAD + "import sklearn.datasets\n\n\ndef build(hyperparameters):\n    return fedavg(lr=0.1)\n",
        "mport",
    ),
    "syntax": ("def build(hyperparameters:\n", "yntax"),
}


class ScriptedCoder(LocalBoxes):
    """Real boxes, but for the coder's: what it writes is the script's where the title is in the script."""

    def run(self, work: Work, cancelled: Event) -> WorkResult:
        if work.kind != "code":
            return super().run(work, cancelled)
        order = CodeInput.model_validate_json(self._artifacts.read(work.inputs[0].digest))
        if order.title not in HOSTILE:
            return super().run(work, cancelled)
        files = {"strategy.py": HOSTILE[order.title][0], "test_strategy.py": OWN_TEST}
        output = CodeOutput(code=CandidateCode(files=files))
        digest = self._artifacts.write(output.model_dump_json(by_alias=True, exclude_none=True).encode())
        return WorkResult(id=work.id, kind=work.kind, outcome=Outcome.SUCCEEDED, outputs={"code.json": digest})


@pytest.mark.slow
def test_each_is_rejected_with_its_reason_and_the_request_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "LocalBoxes", ScriptedCoder)
    seeds = [{"name": name, "method": "fedavg"} for name in HOSTILE]
    search = {
        "candidates": seeds,
        "planCandidates": 0,
        "catalogueMethods": 1,
        "generations": 0,
        "trials": 1,
        "debugAttempts": 1,
    }
    task = {
        "data": {"source": "Digits"},
        "partition": {"kind": "Dirichlet", "alpha": 0.3},
        "clients": 20,
        "training": {"rounds": 4, "localSteps": 3},
    }
    request = write_request(tmp_path, search=search, task=task, budgets={"candidates": 40})
    home = tmp_path / "home"
    assert main(["run", str(request), "--home", str(home)]) == 0
    found = {one.spec.title: one for one in Store(Home(home).resources).list(Candidate)}
    for name, (_, reason) in HOSTILE.items():
        status = found[name].status
        words = " ".join(f"{one.reason} {one.message}" for one in status.conditions)
        words += " ".join(one.failure for one in status.attempts)
        if name == "forges":
            assert status.score is None or status.score < 0.9, "a printed score counted"
            continue
        assert status.phase is CandidatePhase.REJECTED, (name, status.phase, words)
        assert reason in words, (name, words)
    assert result(home)["baseline"]["candidate"] == "small-fedavg"
    assert processes_about(home) == []
