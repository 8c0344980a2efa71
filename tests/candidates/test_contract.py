"""Drafts that break the contract in one way each: the failure names the check, the place and the reason."""

from importlib import import_module

import pytest

from fedwright_agents.catalogue_mind.code import code
from fedwright_agents.catalogue_mind.ideas import idea
from fedwright_crds.documents import CandidateCode, CodeInput, Contract, TestReport
from fedwright_crds.request import Privacy, PrivacyUnit
from fedwright_federation.candidates.test_program import report
from fedwright_federation.catalogue import catalogue

IMPORTS = """
from dataclasses import dataclass, field

import numpy as np
import torch

from fedwright_federation.algorithm import (
    ClientState, Codec, CrossEntropy, Evaluation, GradientTerm, LossTerm, ServerOptimizer, ServerSgd, Sgd, Steady, Strategy,
    Weighting, Weights, LocalPlan, Phase,
)
from fedwright_federation.parts.client_states import ControlVariate
from fedwright_federation.parts.dynamics import DynamicRegularizer, DynamicServer, LocalGradient
from fedwright_federation.parts.gradient_terms import ControlCorrection, Proximal
from fedwright_federation.parts.server_optimizers import ServerControl, ServerMomentum
from fedwright_federation.parts.weighting import Uniform
"""
OWN_TEST = "from .strategy import build\n\n\ndef test_it_builds():\n    assert build({'lr': 0.1})\n"
PLAIN = "def build(h):\n    return Strategy(local=Sgd(lr=h['lr']){more}, hyperparameters=dict(h))\n"


def draft(body: str, more: str = "", own_test: str = OWN_TEST) -> CandidateCode:
    source = IMPORTS + body + ("" if "def build" in body else PLAIN.format(more=more and f", {more}"))
    return CandidateCode(files={"strategy.py": source, "test_strategy.py": own_test})


def judged(body: str, contract: Contract, more: str = "", own_test: str = OWN_TEST) -> TestReport:
    return report(draft(body, more, own_test), contract)


@pytest.mark.parametrize("method", sorted(catalogue().methods))
def test_the_catalogues_code_of_every_method_passes(method: str, contract: Contract) -> None:
    wanted = idea(catalogue(), method, hypothesis="It works.")
    order = CodeInput(
        title=method,
        method=method,
        hyperparameters=wanted.hyperparameters,
        hypothesis="It works.",
        model=contract.model,
        task=contract.task,
    )
    written = code(order).code
    assert written is not None
    values = {one.name: one.default for one in wanted.hyperparameters}
    found = report(written, contract.model_copy(update={"hyperparameters": values}))
    assert found.passed, found.failures
    module, name = catalogue().method(method).recipe.split(":")
    recipe = getattr(import_module(module), name)()
    assert set(found.features) - {"sequential-only"} == recipe.features
    assert ("sequential-only" in found.features) == (not recipe.cohort)


def test_a_plain_strategy_passes_every_check(contract: Contract) -> None:
    found = judged("", contract)
    assert found.passed
    assert found.checks == (
        *("Static", "OwnTests", "Build", "Legality", "Hyperparameters", "Simulation", "Finite"),
        *("Prediction", "Determinism", "Serialisation", "Codec", "Cohort"),
    )


SERVER = """
@dataclass(frozen=True)
class Mine(ServerOptimizer):
    def step(self, x, aggregate, state, round):
        {step}
"""
STATE = """
@dataclass(frozen=True)
class Mine(ClientState):
    def begin(self, start, round):
        return {{}}

    def update(self, state, start, published, outcome, round):
        {update}
"""
LOSS = """
@dataclass(frozen=True)
class Mine(LossTerm):
    cohort = {cohort}

    def __call__(self, step):
        return {value}
"""
WEIGHTING = """
@dataclass(frozen=True)
class Mine(Weighting):
    def weigh(self, reports, state, round):
        return Weights(np.array({share}), np.array({scale})), state
"""
MOVED = "{key: value + aggregate.update[key] for key, value in x.items()}"

DRAFTS = {
    "syntax": ("def build(h)\n    return Strategy()\n", "", "Syntax", "expected ':'"),
    "forbidden import": ("import sklearn.datasets\n", "", "ForbiddenImport", "sklearn.datasets may not be imported"),
    "missing name": ("limit = undefined_name\n", "", "Import", "name 'undefined_name' is not defined"),
    "wrong name": ("from fedwright_federation.algorithm import Sgdd\n", "", "Import", "cannot import name 'Sgdd'"),
    "build raises": (
        "def build(h):\n    return Strategy(local=Sgd(rate=1))\n",
        "",
        "OwnTests",
        "unexpected keyword argument",
    ),
    "build exits": ("def build(h):\n    raise SystemExit(0)\n", "", "OwnTests", "SystemExit"),
    "build makes something else": ("def build(h):\n    return 'a strategy'\n", "", "Build", "build returned str"),
    "another value": (
        "def build(h):\n    return Strategy(local=Sgd(lr=h['lr']), hyperparameters={'lr': 3.0})\n",
        *("", "Build", "lr is 0.1 and the strategy says 3.0"),
    ),
    "ignored hyperparameter": (
        "def build(h):\n    return Strategy(local=Sgd(lr=0.05), hyperparameters=dict(h))\n",
        *("", "Hyperparameters", "lr reaches no part"),
    ),
    "double correction": (
        "",
        "gradients=(ControlCorrection(), DynamicRegularizer(0.1)), states=(ControlVariate(), LocalGradient(0.1)), "
        "weighting=Uniform(), server=ServerControl(DynamicServer(0.1))",
        *("Legality", "[double-correction]"),
    ),
    "server changes a shape": (
        SERVER.format(step="return {key: value.reshape(-1) for key, value in x.items()}, state"),
        *("server=Mine()", "Shape", "shape"),
    ),
    "server forgets keys": (
        SERVER.format(step="return {**x, 'extra': np.zeros(1, np.float32)}, state"),
        *("server=Mine()", "Shape", "extra"),
    ),
    "server makes doubles": (
        SERVER.format(step="return {key: value.astype(np.float64) for key, value in x.items()}, state"),
        *("server=Mine()", "Dtype", "float64"),
    ),
    "server writes NaN": (
        SERVER.format(step=f"return {{k: v * np.float32('nan') for k, v in {MOVED}.items()}}, state"),
        *("server=Mine()", "Finite", "NaN"),
    ),
    "loss is NaN": (
        LOSS.format(cohort=False, value="step.out.logits.sum() * float('nan')"),
        *("losses=(Mine(),)", "Finite", "not finite"),
    ),
    "loss has a shape": (
        LOSS.format(cohort=False, value="step.out.logits"),
        *("losses=(Mine(),)", "Shape", "Mine gave [8, 10], not []"),
    ),
    "loss mixes the cohort": (
        LOSS.format(cohort=True, value="CrossEntropy()(step) + step.out.logits.square().sum() * 0.01"),
        *("losses=(Mine(),)", "Cohort|Shape", "batch axis alone|cohort axis"),
    ),
    "wrong shape in a gradient": (
        "class Mine(GradientTerm):\n    def __call__(self, step):\n"
        "        return {key: torch.zeros(3, 7, 5) for key in step.trained}\n",
        *("gradients=(Mine(),)", "Shape", "size"),
    ),
    "codec drops an axis": (
        "class Mine(Codec):\n    def encode(self, update, memory, rng, round):\n        return dict(update), {}\n\n"
        "    def decode(self, message, like, round):\n        return {key: value.ravel() for key, value in message.items()}\n",
        *("upload=Mine()", "Shape", "belongs"),
    ),
    "random without a seed": (
        SERVER.format(
            step=f"moved = {MOVED}\n        return {{k: v + np.random.rand().__mul__(0) for k, v in moved.items()}}, state"
        ),
        *("server=Mine()", "ForbiddenAttribute", "__mul__"),
    ),
    "draws of its own": (
        SERVER.format(
            step=f"noise = np.float32(np.random.default_rng().normal())\n        return {{k: v + noise for k, v in {MOVED}.items()}}, state"
        ),
        *("server=Mine()", "Determinism", "another model"),
    ),
    "memory in the part": (
        "calls = []\n"
        + SERVER.format(
            step=f"calls.append(1)\n        return {{k: v + np.float32(len(calls)) for k, v in {MOVED}.items()}}, state"
        ),
        *("server=Mine()", "Determinism", "ClientState"),
    ),
    "clients share a module": (
        "seen = {}\n\n\nclass Mine(GradientTerm):\n    def __call__(self, step):\n"
        "        seen['last'] = step.y.float().mean() if 'first' in seen else torch.zeros(())\n"
        "        key = step.trained[0]\n        seen.setdefault(float(step.start[key].sum()), step.y.float().mean())\n"
        "        return {key: torch.ones_like(step.weights[key]) * seen[float(step.start[key].sum())]}\n",
        *("gradients=(Mine(),)", "ClientState", "process of its own"),
    ),
    "state in a value that is no tree": (
        STATE.format(update="return {'mine': {'count': np.ones(1)}}, {}").replace(
            "return {}", "return {'mine': {'count': np.zeros(1)}}", 1
        ),
        *("states=(Mine(),)", "Serialisation", "reshape"),
    ),
    "too few weights": (WEIGHTING.format(share="[1.0]", scale="[1.0]"), "weighting=Mine()", "", ""),
    "negative weights": (
        WEIGHTING.format(share="[-1.0] + [2.0] * (len(reports) - 1)", scale="[1.0] * len(reports)"),
        *("weighting=Mine()", "Weights", "at least 0"),
    ),
    "huge scales": (
        WEIGHTING.format(share="[1.0] * len(reports)", scale="[1e-9] + [1e5] * (len(reports) - 1)"),
        *("weighting=Mine()", "Weights", "scales"),
    ),
    "no steps": (
        "class Mine(Steady):\n    def plan(self, client, round):\n        return LocalPlan((Phase(0),))\n",
        *("schedule=Mine()", "Simulation", "at least one local step"),
    ),
    "wrong predictions": (
        "class Mine(Evaluation):\n    def logits(self, out):\n        return out.logits[:, :3]\n",
        *("evaluation=Mine()", "Prediction", "(12, 3), not (12, 10)"),
    ),
    "state missing": (
        "class Mine(GradientTerm):\n    def __call__(self, step):\n        return step.state['nobody']\n",
        *("gradients=(Mine(),)", "Simulation", "KeyError: 'nobody'"),
    ),
}


@pytest.mark.parametrize("name", DRAFTS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
def test_a_draft_that_breaks_the_contract_is_told_how(name: str, contract: Contract) -> None:
    body, more, check, message = DRAFTS[name]
    found = judged(body, contract, more)
    assert not found.passed
    first = found.failures[0]
    assert not check or first.check in check.split("|"), first
    assert any(part in first.message for part in message.split("|")), first


def test_the_place_is_the_candidates_own_line(contract: Contract) -> None:
    body = "class Mine(GradientTerm):\n    def __call__(self, step):\n        return step.state['nobody']\n"
    first = judged(body, contract, "gradients=(Mine(),)").failures[0]
    assert first.file == "strategy.py"
    assert first.line == IMPORTS.count("\n") + 3


def test_where_the_candidate_has_no_line_the_platforms_own_shows_what_it_missed(contract: Contract) -> None:
    body = """@dataclass(frozen=True)
class Forgetful(ServerOptimizer):
    inner: ServerOptimizer = field(default_factory=lambda: ServerControl(ServerSgd()))

    def start(self, x, shared):
        return self.inner.start(x, shared)

    def step(self, x, aggregate, state, round):
        return self.inner.step(x, aggregate, state, round)


"""
    more = "gradients=(ControlCorrection(),), states=(ControlVariate(),), weighting=Uniform(), server=Forgetful()"
    first = judged(body, contract, more).failures[0]
    assert first.file == "" and "KeyError: 'control'" in first.message
    assert 'parts/gradient_terms.py: server, client = step.published["control"]' in first.message


def test_a_published_model_in_another_precision_is_told_by_its_key(contract: Contract) -> None:
    body = """@dataclass(frozen=True)
class Precise(Evaluation):
    def published(self, x, state):
        return {key: value.astype(np.float64) for key, value in x.items()}


"""
    first = judged(body, contract, "evaluation=Precise()").failures[0]
    assert first.check == "Dtype" and "in float64; keep every tree in float32" in first.message


CODEC = """@dataclass(frozen=True)
class Mine(Codec):
    def encode(self, update, memory, rng, round):
        return {{key: {sent} for key, value in update.items()}}, {{}}

    def decode(self, message, like, round):
        return {{key: message[key].astype(np.float32) * {size} for key in like}}


"""


@pytest.mark.parametrize(
    ("sent", "size", "passes"),
    [
        ("np.sign(value).astype(np.int8)", "np.float32(0.01)", True),
        ("np.where(rng.random(value.shape) < 0.01, value, 0).astype(np.float32)", "np.float32(100)", True),
        ("np.zeros_like(value)", "np.float32(1)", True),
        ("np.abs(value)", "np.float32(1)", False),
        ("-value", "np.float32(1)", False),
        ("np.roll(value, 1)", "np.float32(1)", False),
    ],
    ids=["signs", "one in a hundred", "nothing", "no sign", "turned", "shifted"],
)
def test_a_codec_may_be_coarse_but_not_point_elsewhere(sent: str, size: str, passes: bool, contract: Contract) -> None:
    found = judged(CODEC.format(sent=sent, size=size), contract, "upload=Mine()")
    assert found.passed is passes, found.failures
    if not passes:
        assert found.failures[0].check == "Codec" and "Mine decodes points elsewhere" in found.failures[0].message


def test_a_document_that_is_asked_for_what_it_does_not_have_tells_what_it_has(contract: Contract) -> None:
    body = "class Mine(ServerOptimizer):\n    def step(self, x, aggregate, state, round):\n        aggregate.participants\n"
    first = judged(body, contract, "server=Mine()").failures[0]
    assert "'Aggregate' object has no attribute 'participants'" in first.message
    assert "(Aggregate has update, clients, population, reduced, holders)" in first.message


def test_own_tests_that_fail_do_not_hide_what_the_contract_says(contract: Contract) -> None:
    body = "class Mine(GradientTerm):\n    def __call__(self, step):\n        return step.state['nobody']\n"
    found = judged(body, contract, "gradients=(Mine(),)", own_test="def test_sum():\n    assert 1 + 1 == 3\n")
    assert [one.check for one in found.failures] == ["OwnTests", "Simulation"]
    assert "OwnTests" not in found.checks and "Static" in found.checks


def test_privacy_that_cannot_be_honoured_is_refused_by_its_field(contract: Contract) -> None:
    asked = contract.model_copy(update={"privacy": Privacy(unit=PrivacyUnit.CLIENT, epsilon=4, delta=1e-3)})
    more = "gradients=(ControlCorrection(),), states=(ControlVariate(),), weighting=Uniform(), server=ServerControl(ServerSgd())"
    first = judged("", asked, more).failures[0]
    assert first.check == "Legality"
    assert "spec.privacy" in first.message


@pytest.mark.parametrize(
    ("own_test", "check", "message"),
    [
        ("x = 1\n", "OwnTests", "no function is named test_*"),
        ("def test_sum():\n    assert 1 + 1 == 3\n", "OwnTests", "test_sum: AssertionError"),
        ("def test_exit():\n    raise SystemExit\n", "OwnTests", "test_exit: SystemExit"),
        ("from .nowhere import x\n", "Import", "no file nowhere.py"),
    ],
)
def test_the_candidates_own_tests_count(own_test: str, check: str, message: str, contract: Contract) -> None:
    first = judged("", contract, own_test=own_test).failures[0]
    assert first.check == check
    assert message in first.message
    assert first.file == "test_strategy.py"


def test_a_candidate_without_tests_is_sent_back(contract: Contract) -> None:
    files = {"strategy.py": draft("").files["strategy.py"]}
    assert "test_strategy.py is missing" in report(CandidateCode(files=files), contract).failures[0].message
