"""Coder and debugger over real runs of the tests, through the programs, with files in box folders."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedwright_agents import minds
from fedwright_agents.programs import code as code_program
from fedwright_agents.programs import debug as debug_program
from fedwright_agents.programs import plan as plan_program
from fedwright_crds.base import Strict
from fedwright_crds.documents import (
    CandidateCode,
    CheckFailure,
    CodeInput,
    CodeOutput,
    Contract,
    DebugInput,
    PlanInput,
    PlanOutput,
    TestReport,
)
from fedwright_crds.request import RequestSpec
from fedwright_federation.candidates import test_program

Run = Callable[..., str]

GOOD = """from dataclasses import dataclass

from fedwright_federation.algorithm import ServerOptimizer, Sgd, Strategy


@dataclass(frozen=True)
class HalfStep(ServerOptimizer):
    def step(self, x, aggregate, state, round):
        return {key: value + aggregate.update[key] / 2 for key, value in x.items()}, state


def build(hyperparameters):
    return Strategy(local=Sgd(lr=hyperparameters["lr"]), server=HalfStep())
"""
TRANSPOSED = GOOD.replace("aggregate.update[key] / 2", "aggregate.update[key].reshape(-1)[:1].reshape(1, 1, 1)")
BROKEN = TRANSPOSED.replace("def build(hyperparameters):", "def build(hyperparameters)")
OWN_TEST = "from .strategy import build\n\n\ndef test_builds():\n    assert build({'lr': 1.0}).local.lr == 1.0\n"


class Scripted:
    """A coder whose first two drafts fail in different ways, and a debugger that mends what the report names."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def code(self, asked: CodeInput) -> CodeOutput:
        del asked
        return self._draft(BROKEN)

    def debug(self, asked: DebugInput) -> CodeOutput:
        first = asked.report.failures[0]
        self.seen.append((first.check, first.message))
        if first.check == "Syntax":
            return self._draft(TRANSPOSED)
        if first.check == "Shape":
            return self._draft(GOOD)
        return CodeOutput(cannot=first.message)

    def _draft(self, source: str) -> CodeOutput:
        return CodeOutput(code=CandidateCode(files={"strategy.py": source, "test_strategy.py": OWN_TEST}))


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a program in a box of its own and gives what it left."""
    boxes = iter(range(1000))

    def run(main: Callable[[list[str]], int], output: str, *argv: str, exit_code: int = 0, **inputs: Strict) -> str:
        root = tmp_path / str(next(boxes))
        for name in ("in", "out"):
            (root / name).mkdir(parents=True)
        for name, document in inputs.items():
            file = root / "in" / f"{name.replace('_', '-')}.json"
            file.write_text(json.dumps(document.to_wire()), encoding="utf-8")
        monkeypatch.setenv("FEDWRIGHT_BOX", str(root))
        assert main(list(argv)) == exit_code
        left = root / "out" / output
        return left.read_text(encoding="utf-8") if left.exists() else ""

    yield run


@pytest.fixture
def order(spec: RequestSpec) -> CodeInput:
    assert spec.model is not None
    return CodeInput(title="Half steps", method="fedavg", hypothesis="x", model=spec.model, task=spec.task)


@pytest.fixture
def contract(spec: RequestSpec) -> Contract:
    assert spec.model is not None
    return Contract(model=spec.model, task=spec.task, input_shape=(8, 8), classes=10, hyperparameters={"lr": 0.1})


def to_green(run: Run, profile: str, order: CodeInput, contract: Contract, attempts: int = 4) -> list[CheckFailure]:
    """The loop as the control plane drives it: first failures of the drafts until one passes."""
    output = CodeOutput.model_validate_json(run(code_program.main, "code.json", profile, code_input=order))
    earlier: list[CheckFailure] = []
    for attempt in range(attempts):
        assert output.code is not None, output.cannot
        tested = run(test_program.main, "test-report.json", code=output.code, contract=contract)
        report = TestReport.model_validate_json(tested)
        if report.passed:
            return earlier
        asked = DebugInput(code_input=order, code=output.code, report=report, attempt=attempt, earlier=tuple(earlier))
        earlier.append(report.failures[0])
        output = CodeOutput.model_validate_json(run(debug_program.main, "debug.json", profile, debug_input=asked))
    raise AssertionError(f"not green after {attempts} drafts: {earlier}")


def test_drafts_that_fail_in_different_ways_come_back_mended(
    box: Run, order: CodeInput, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = Scripted()
    usual = minds.role_of
    monkeypatch.setattr(
        "fedwright_agents.programs.ask.role_of",
        lambda profile, role: getattr(scripted, role) if profile == "scripted" else usual(profile, role),
    )
    earlier = to_green(box, "scripted", order, contract)
    assert [one.check for one in earlier] == ["Syntax", "Shape"]
    assert scripted.seen[0][1].startswith("expected ':'")
    assert "shape (1, 64, 32)" in scripted.seen[1][1] or "(1, " in scripted.seen[1][1]


def test_the_catalogues_first_draft_passes(box: Run, order: CodeInput, contract: Contract) -> None:
    assert to_green(box, "catalogue", order, contract) == []


def test_the_catalogues_debugger_mends_a_slip_of_another_coder(
    box: Run, order: CodeInput, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    slip = GOOD.replace("def build(hyperparameters):", "def build(hyperparameters)").replace(
        "import ServerOptimizer, ", "import "
    )
    draft = CodeOutput(code=CandidateCode(files={"strategy.py": slip, "test_strategy.py": OWN_TEST}))
    usual = minds.role_of
    monkeypatch.setattr(
        "fedwright_agents.programs.ask.role_of",
        lambda profile, role: (lambda _: draft) if role == "code" else usual(profile, role),
    )
    assert [one.check for one in to_green(box, "catalogue", order, contract)] == ["Syntax", "Import"]


def test_a_plan_goes_through_its_program(box: Run, spec: RequestSpec, facts: Strict) -> None:
    asked = PlanInput(request="r", spec=spec, facts=facts)  # type: ignore[arg-type]
    output = PlanOutput.model_validate_json(box(plan_program.main, "plan.json", "catalogue", plan_input=asked))
    assert output.plan is not None
    assert box(plan_program.main, "plan.json", "catalogue", plan_input=asked) == box(
        plan_program.main, "plan.json", "catalogue", plan_input=asked
    )


def test_a_model_without_a_gateway_and_a_missing_input_are_told(
    box: Run, order: CodeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    box(code_program.main, "code.json", "oracle", exit_code=3, code_input=order)
    assert "this box was given no model gateway for profile oracle" in capsys.readouterr().err
    box(code_program.main, "code.json", "catalogue", exit_code=2)
    assert "code-input.json" in capsys.readouterr().err
