"""Faults that the catalogue's debugger mends, and what it says to others."""

import pytest

from fedwright_agents.catalogue_mind.debug import debug
from fedwright_crds.candidate import Part
from fedwright_crds.documents import CandidateCode, CheckFailure, CodeInput, DebugInput, TestReport
from fedwright_crds.request import RequestSpec
from fedwright_federation.candidates import static
from fedwright_federation.candidates.contract import CHECKS
from fedwright_federation.candidates.failures import CandidateError
from fedwright_federation.candidates.loader import load_strategy

GOOD = """from collections.abc import Mapping

from fedwright_federation.algorithm import Sgd, Strategy
from fedwright_federation.parts.gradient_terms import Proximal


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    lr = hyperparameters["lr"]
    return Strategy(
        local=Sgd(lr=lr),
        gradients=(Proximal(mu=0.1),),
    )
"""

SLIPS = {
    "no colon": ("-> Strategy:", "-> Strategy"),
    "open bracket": ('hyperparameters["lr"]', 'hyperparameters["lr"'),
    "bracket too many": ('hyperparameters["lr"]', 'hyperparameters["lr"])'),
    "no comma": ("local=Sgd(lr=lr),", "local=Sgd(lr=lr)"),
    "tabs": ('    lr = hyperparameters["lr"]', '\tlr = hyperparameters["lr"]'),
    "no indent": ('    lr = hyperparameters["lr"]', 'lr = hyperparameters["lr"]'),
    "fence": ("from collections", "```python\nfrom collections"),
    "import missing": ("import Sgd, Strategy", "import Strategy"),
    "part import missing": ("from fedwright_federation.parts.gradient_terms import Proximal\n", ""),
    "standard import missing": ("from collections.abc import Mapping\n", ""),
    "misspelt import": ("import Sgd, Strategy", "import Sgdd, Strategy"),
    "from another module": (
        "from fedwright_federation.parts.gradient_terms import Proximal",
        "from fedwright_federation.parts.codecs import Proximal",
    ),
    "misspelt name": ("Sgd(lr=lr)", "Sgd(lr=lrr)"),
    "another's argument": ("Sgd(lr=lr)", "Sgd(learning_rate=lr)"),
    "forbidden import": ("from collections", "import os\nfrom collections"),
}


def first_failure(code: CandidateCode) -> CheckFailure | None:
    broken = static.check(code)
    if broken:
        return broken[0]
    try:
        load_strategy(code, {"lr": 0.1})
    except CandidateError as error:
        return error.failures[0]
    return None


def mended(code: CandidateCode, order: CodeInput, failure: CheckFailure) -> tuple[CandidateCode | None, str]:
    report = TestReport(passed=False, failures=(failure,))
    output = debug(DebugInput(code_input=order, code=code, report=report, attempt=0))
    return output.code, output.cannot


@pytest.fixture
def order(spec: RequestSpec) -> CodeInput:
    assert spec.model is not None
    return CodeInput(title="t", method="fedprox", hypothesis="h", model=spec.model, task=spec.task)


def test_the_draft_without_a_fault_has_none() -> None:
    assert first_failure(CandidateCode(files={"strategy.py": GOOD})) is None


@pytest.mark.parametrize("slip", SLIPS)
def test_a_known_slip_is_mended_within_three_drafts(slip: str, order: CodeInput) -> None:
    good, bad = SLIPS[slip]
    assert good in GOOD
    code = CandidateCode(files={"strategy.py": GOOD.replace(good, bad, 1)})
    for _ in range(3):
        failure = first_failure(code)
        if failure is None:
            return
        after, cannot = mended(code, order, failure)
        assert after is not None, cannot
        code = after
    assert first_failure(code) is None


@pytest.mark.parametrize(
    "failure",
    [
        CheckFailure(check="Shape", file="strategy.py", line=3, message="Mine gave [8, 10], not []"),
        CheckFailure(check="Determinism", message="a second run gives another model"),
        CheckFailure(check="Box", message="the box ended with DeadlineExceeded"),
        CheckFailure(check="Syntax", file="strategy.py", line=1, message="invalid syntax: what even is this"),
        CheckFailure(check="Import", file="strategy.py", line=1, message="NameError: name 'zzzzz' is not defined"),
        CheckFailure(check="Import", file="gone.py", line=1, message="NameError: name 'Sgd' is not defined"),
    ],
    ids=lambda failure: failure.check,
)
def test_what_it_cannot_mend_it_says(failure: CheckFailure, order: CodeInput) -> None:
    code, cannot = mended(CandidateCode(files={"strategy.py": GOOD}), order, failure)
    assert code is None
    assert failure.message in cannot


def test_an_illegal_composition_loses_the_part_that_breaks_the_rule(order: CodeInput) -> None:
    reason = "FedDyn's x = mean - h/alpha is itself the server's rule"
    added = (Part(slot="view", name="WidthSlices"), Part(slot="upload", name="Qsgd"))
    illegal = order.model_copy(update={"method": "scaffold", "parts": added})
    failure = CheckFailure(check="Legality", message=f"[control-frames] {reason}")
    code, cannot = mended(CandidateCode(files={"strategy.py": GOOD}), illegal, failure)
    assert code is not None, cannot
    strategy = load_strategy(code, {})
    assert "frames" not in strategy.features
    assert {"control-variates", "quantised"} <= strategy.features


def test_legality_is_a_check_of_the_contract() -> None:
    assert {"Legality", "Build", "Simulation"} <= CHECKS.keys()
