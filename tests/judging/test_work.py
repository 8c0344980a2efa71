"""The units of work that judge: what each step sees, and how much it may hand on."""

import itertools
import json
import subprocess
import sys

import pytest
from chain import FEDAVG, judge_of, spec_of

from fedwright_crds.documents import CandidateCode, DataFacts, JudgeSpec
from fedwright_crds.judging_work import (
    checkpoint_bytes,
    evaluated_rounds,
    parameters,
    stage_ends,
    stage_of,
    verification_work,
)
from fedwright_crds.task import ModelSpec
from fedwright_crds.work import BoxKind, Work
from fedwright_federation.algorithm.tree import size
from fedwright_federation.models import build_model

CODE = CandidateCode(files={"strategy.py": FEDAVG})
TASK = {"data": {"source": "Digits"}, "clients": 20}


@pytest.fixture(params=["judge", "verify"])
def work(request: pytest.FixtureRequest) -> Work:
    return judge_of(spec_of(TASK), CODE, *([verification_work] if request.param == "verify" else []))


def test_no_box_of_generated_code_sees_labels_and_no_judge_sees_code(work: Work) -> None:
    for step in work.steps:
        if step.box is BoxKind.BENCH:
            assert "labels" not in (*step.reads, *step.writes) and not step.outputs
        else:
            assert step.box is BoxKind.JUDGE and "code.json" not in step.inputs


def test_no_step_sees_training_rows_and_questions_together(work: Work) -> None:
    for step in work.steps:
        assert not {"shards", "inputs"} <= set(step.reads)
        assert not {"inputs", "labels"} <= set(step.reads)


def test_what_saw_test_rows_or_labels_is_silent(work: Work) -> None:
    for step in work.steps:
        assert step.quiet == bool({"inputs", "labels"} & {*step.reads, *step.writes})


def test_every_handover_is_written_once_before_it_is_read(work: Work) -> None:
    written: set[str] = set()
    for step in work.steps:
        assert set(step.reads) <= written
        assert not set(step.writes) & written
        written |= set(step.writes)
    assert written == {handover.name for handover in work.handovers}


def test_a_fleet_has_a_member_for_each_client() -> None:
    fleets = [step.fleet for step in judge_of(spec_of(TASK), CODE, verification_work).steps]
    assert fleets == [0, 0, 20, 0, 0, 0]


def test_the_seed_and_the_code_change_the_id() -> None:
    other = CandidateCode(files={"strategy.py": FEDAVG + "#"})
    works = [judge_of(spec_of(TASK, seed=seed), code) for seed in (1, 2) for code in (CODE, other)]
    assert len({work.id for work in works}) == 4


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        *itertools.product(
            [{"architecture": "Softmax"}, {"architecture": "Mlp", "hidden": [8, 5]}], [(30,), (1, 8, 8)]
        ),
        ({"architecture": "Mlp", "hidden": [8], "batchNorm": True}, (30,)),
        ({"architecture": "Cnn", "hidden": [4, 6]}, (1, 28, 28)),
        ({"architecture": "Cnn", "hidden": [4], "batchNorm": True}, (3, 9, 9)),
    ],
)
def test_parameters_are_counted_as_the_models_hold_them(model: dict[str, object], shape: tuple[int, ...]) -> None:
    spec = ModelSpec.model_validate_json(json.dumps(model))
    assert parameters(spec, shape, 7) == size(build_model(spec, shape, 7).init(0))


def test_a_checkpoint_has_room_for_models_and_little_else() -> None:
    spec = spec_of(TASK, evaluations=1, model={"architecture": "Mlp", "hidden": [256]})
    facts = DataFacts(
        samples=1797,
        classes=10,
        input_shape=(1, 8, 8),
        train_samples_per_client=(50,) * 20,
        labels_per_client=(10,) * 20,
        label_skew=0.0,
        feature_shift=0.0,
    )
    models = 21 * 4 * parameters(spec.model, (1, 8, 8), 10)
    assert models < checkpoint_bytes(spec, facts) < 1.35 * models


@pytest.mark.parametrize(
    ("rounds", "evaluations", "judged"),
    [(10, 1, (10,)), (10, 4, (3, 5, 8, 10)), (3, 64, (1, 2, 3)), (64, 64, tuple(range(1, 65)))],
)
def test_evaluations_are_evenly_spaced_and_end_with_the_last_round(
    rounds: int, evaluations: int, judged: tuple[int, ...]
) -> None:
    assert evaluated_rounds(spec_of(TASK, rounds=rounds, evaluations=evaluations)) == judged


def test_each_stage_is_judged_when_it_ends() -> None:
    task = {**TASK, "continual": {"tasks": 4}}
    spec: JudgeSpec = spec_of(task, rounds=10, evaluations=1)
    assert stage_ends(10, 4) == {0: 3, 1: 5, 2: 8, 3: 10}
    assert evaluated_rounds(spec) == (3, 5, 8, 10)
    assert [stage_of(number, 10, 4) for number in range(1, 11)] == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]
    assert evaluated_rounds(spec_of(task, rounds=2)) == (1, 2)


@pytest.mark.parametrize("step", ["inspect", "prepare", "score", "decide"])
def test_the_judge_loads_no_framework(step: str) -> None:
    """It would cost each machine 300 MiB, and whoever reads hostile bytes should hold little that could be abused."""
    told = f"import sys, fedwright_federation.judging.{step}; sys.exit('torch' in sys.modules or 'flwr' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0
