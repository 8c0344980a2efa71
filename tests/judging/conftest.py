"""One small judged run whose handovers every test may start from."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chain import FEDAVG, Chain, judge_of, spec_of

from fedwright_crds.documents import CandidateCode, JudgeSpec


@pytest.fixture(scope="package")
def spec() -> JudgeSpec:
    task = {"data": {"source": "Digits"}, "clients": 20, "partition": {"kind": "Dirichlet", "alpha": 0.5}}
    return spec_of(task, probe=True, evaluations=2, rounds=6, hyperparameters={"lr": 0.3})


@pytest.fixture(scope="package")
def judged_chain(spec: JudgeSpec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """All four steps have run."""
    with pytest.MonkeyPatch.context() as patch:
        code = CandidateCode(files={"strategy.py": FEDAVG})
        chain = Chain(tmp_path_factory.mktemp("judged"), patch, {"judge.json": spec, "code.json": code})
        chain.run(judge_of(spec, code))
        yield chain


@pytest.fixture
def chain(judged_chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chain:
    """A copy of it to meddle with."""
    shutil.copytree(judged_chain.root / "handovers", tmp_path / "handovers")
    return Chain(tmp_path, monkeypatch, judged_chain.documents)


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    from chain import judged

    return lambda spec, source=FEDAVG, between=None: judged(tmp_path, monkeypatch, spec, source, between)
