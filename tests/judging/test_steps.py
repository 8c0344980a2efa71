"""The four steps of judging, chained through plain folders, and what each may and may not see."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from chain import FEDAVG, Chain, judge_of, spec_of

from fedwright_crds.documents import JudgeSpec, Score, ServerFacts
from fedwright_crds.judging_work import evaluated_rounds
from fedwright_crds.task import Metric, Scope
from fedwright_federation.judging import predict
from fedwright_federation.judging.labels import Labels
from fedwright_federation.judging.probes import Role
from fedwright_federation.tasks import SELECTION, TEST, TRAIN, load_task

Judge = Callable[..., Score]

FEDBN = """
from fedwright_federation.strategies import fedbn

def build(hyperparameters):
    return fedbn(lr=0.3)
"""
FEDREP = """
from fedwright_federation.strategies import fedrep

def build(hyperparameters):
    return fedrep(lr=0.3)
"""
TEMPERED = """
from dataclasses import dataclass, replace

from fedwright_federation.algorithm import Evaluation
from fedwright_federation.strategies import fedavg

@dataclass(frozen=True)
class Tempered(Evaluation):
    def logits(self, out):
        return out.logits * 0.0

def build(hyperparameters):
    return replace(fedavg(lr=0.3), evaluation=Tempered())
"""


def keys(path: Path) -> set[str]:
    with np.load(path, allow_pickle=False) as file:
        return set(file.files)


# -- what each step is given -------------------------------------------------------------------------------------------
def test_shards_hold_training_rows_alone(judged_chain: Chain, spec: JudgeSpec) -> None:
    shards = judged_chain.root / "handovers" / "shards"
    data = load_task(spec.task, spec.seed)
    facts = ServerFacts.model_validate_json((shards / "server.json").read_bytes())
    assert facts.input_shape == (1, 8, 8) and facts.classes == 10
    assert {path.name for path in shards.iterdir()} == {"server.json", *(f"client-{i}.npz" for i in range(20))}
    secret = {row.tobytes() for split in (SELECTION, TEST) for row in data.x[data.rows(split)]}
    for client in range(20):
        with np.load(shards / f"client-{client}.npz", allow_pickle=False) as file:
            assert np.array_equal(file["x"], data.x[data.rows(TRAIN, client)])
            assert not {row.tobytes() for row in file["x"]} & secret
            assert len(file["y"]) == facts.samples[client]


def test_inputs_hold_no_label_and_no_role(judged_chain: Chain) -> None:
    handovers = judged_chain.root / "handovers"
    assert keys(handovers / "inputs" / "inputs.npz") == {"x", "client", "classes"}
    assert keys(handovers / "labels" / "labels.npz") == {"y", "client", "role", "stage", "original", "classes"}


def test_probes_are_matched_shuffled_and_each_has_a_twin(judged_chain: Chain, spec: JudgeSpec) -> None:
    handovers = judged_chain.root / "handovers"
    labels = Labels.read(handovers / "labels" / "labels.npz")
    x = np.load(handovers / "inputs" / "inputs.npz")["x"]
    data = load_task(spec.task, spec.seed)
    sizes = {role: len(labels.of(role)) for role in Role}
    assert sizes[Role.JUDGED] == len(data.rows(SELECTION))
    assert sizes[Role.MEMBER] == sizes[Role.STRANGER] == sizes[Role.MEMBER_TWIN] == sizes[Role.STRANGER_TWIN] > 300
    pairs = [sorted(zip(labels.client[labels.of(role)], labels.y[labels.of(role)], strict=True)) for role in Role][1:3]
    assert pairs[0] == pairs[1]
    for role, split in ((Role.MEMBER, TRAIN), (Role.STRANGER, TEST), (Role.JUDGED, SELECTION)):
        rows = {row.tobytes() for row in data.x[data.rows(split)]}
        assert all(row.tobytes() in rows for row in x[labels.of(role)])
    for role in (Role.MEMBER_TWIN, Role.STRANGER_TWIN):
        twins = labels.of(role)
        originals = labels.original[twins]
        assert set(labels.role[originals]) == {role - 2}
        assert np.array_equal(labels.y[twins], labels.y[originals])
        assert np.std(x[twins] - x[originals]) == pytest.approx(0.019, abs=0.002)
    changes = np.diff(labels.role.astype(int)) != 0
    assert 0.6 < changes.mean() < 0.95


# -- what comes out ----------------------------------------------------------------------------------------------------
def test_an_honest_run_is_scored_in_every_measure_of_its_task(judged_chain: Chain, spec: JudgeSpec) -> None:
    score = Score.model_validate_json((judged_chain.root / "out" / "score.json").read_bytes())
    assert score.ok and not score.constant and score.epsilon is None
    absent = {Metric.ROUNDS_TO_TARGET, Metric.AVERAGE_ACCURACY, Metric.FORGETTING, Metric.WORST_HEAD_ACCURACY}
    assert set(score.metrics) == {f"{metric}/{scope}" for metric in Metric if metric not in absent for scope in Scope}
    assert [point.round for point in score.curve] == [3, 6] == list(evaluated_rounds(spec))
    assert score.curve[-1].accuracy == score.metrics["Accuracy/Global"] > 0.5
    assert score.curve[-1].client_accuracy == pytest.approx(np.mean(score.per_client))
    assert score.metrics["WorstTenthAccuracy/Global"] == pytest.approx(np.sort(score.per_client)[:2].mean())
    assert score.curve[0].upload_mebibytes == pytest.approx(score.curve[1].upload_mebibytes / 2)
    assert score.probe is not None and not score.probe.lookup_suspected and score.probe.members > 300


def test_the_global_figures_are_those_of_the_model_itself(judged_chain: Chain, spec: JudgeSpec) -> None:
    """Once more by hand: load the last model, multiply it out, count."""
    with np.load(judged_chain.root / "handovers" / "checkpoint" / "server.6.npz", allow_pickle=False) as tree:
        data = load_task(spec.task, spec.seed)
        rows = data.rows(SELECTION)
        hidden = np.maximum(data.x[rows].reshape(len(rows), -1) @ tree["body.0.weight"] + tree["body.0.bias"], 0)
        logits = hidden @ tree["head.weight"] + tree["head.bias"]
    score = Score.model_validate_json((judged_chain.root / "out" / "score.json").read_bytes())
    assert score.metrics["Accuracy/Global"] == pytest.approx((logits.argmax(1) == data.y[rows]).mean(), abs=1e-9)


def test_a_run_repeats_to_the_last_digit(judged_chain: Chain, spec: JudgeSpec, judge: Judge) -> None:
    again = judge(spec)
    assert (
        again.predictions
        == Score.model_validate_json((judged_chain.root / "out" / "score.json").read_bytes()).predictions
    )
    assert judge(spec.model_copy(update={"seed": 2})).predictions != again.predictions
    assert judge(spec.model_copy(update={"salt": 1})).predictions != again.predictions


def test_clients_with_keys_of_their_own_are_judged_by_them(judge: Judge) -> None:
    task = {"data": {"source": "Digits"}, "clients": 8, "partition": {"kind": "IID"}, "featureShift": {}}
    spec = spec_of(task, model={"architecture": "Mlp", "hidden": [16], "batchNorm": True}, rounds=20)
    score = judge(spec, FEDBN)
    assert score.metrics["Accuracy/PerClient"] > score.metrics["Accuracy/Global"] + 0.2
    assert np.mean(score.per_client) == pytest.approx(score.metrics["Accuracy/PerClient"])


def test_a_strategy_that_declares_its_own_evaluation_is_asked(spec: JudgeSpec, judge: Judge) -> None:
    score = judge(spec, TEMPERED)
    assert score.ok and score.constant and score.metrics["Loss/Global"] == pytest.approx(np.log(10), rel=1e-5)


def test_rounds_to_a_target_are_counted_or_censored(judge: Judge) -> None:
    task = {"data": {"source": "Digits"}, "clients": 10, "partition": {"kind": "IID"}}
    within = {"metric": "RoundsToTarget", "targetAccuracy": 0.5}
    score = judge(spec_of(task, objective=within, rounds=8, evaluations=8, hyperparameters={"lr": 0.5}))
    reached = score.metrics["RoundsToTarget/Global"]
    assert reached == next(point.round for point in score.curve if point.accuracy >= 0.5)
    beyond = {"metric": "RoundsToTarget", "targetAccuracy": 0.999}
    assert judge(spec_of(task, objective=beyond, rounds=2, evaluations=2)).metrics["RoundsToTarget/Global"] == 3


def test_a_continual_run_forgets(judge: Judge) -> None:
    task = {
        "data": {"source": "Digits"},
        "clients": 5,
        "partition": {"kind": "IID"},
        "continual": {"tasks": 5},
        "training": {"rounds": 20, "localEpochs": 3},
    }
    score = judge(spec_of(task, rounds=20, hyperparameters={"lr": 0.3}, evaluations=2))
    assert [point.round for point in score.curve] == [4, 8, 10, 12, 16, 20]
    assert score.metrics["AverageAccuracy/Global"] < 0.4 and score.metrics["Forgetting/Global"] > 0.7


HEADS = [
    {"name": "digit"},
    {"name": "odd-even", "groups": [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]},
    {"name": "at-least-5", "groups": [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]},
]


@pytest.mark.parametrize("source", [FEDAVG, FEDREP], ids=["FedAvg", "FedRep"])
def test_each_head_is_judged_on_its_own_outputs(source: str, judge: Judge, tmp_path: Path) -> None:
    """Once more by hand: the model's own slice for each client, multiplied out and counted; the worst of three heads."""
    task = {"data": {"source": "Digits"}, "clients": 8, "partition": {"kind": "IID"}, "heads": HEADS}
    spec = spec_of(task, rounds=12, probe=True, hyperparameters={"lr": 0.3})
    score = judge(spec, source)
    data = load_task(spec.task, spec.seed)
    rows, checkpoint = data.rows(SELECTION), tmp_path / "handovers" / "checkpoint"
    spans = [slice(0, 10), slice(10, 12), slice(12, 14)]
    right = np.zeros(len(data.y), dtype=bool)
    with np.load(checkpoint / "server.12.npz", allow_pickle=False) as tree:
        for client in range(8):
            held = rows[data.client[rows] == client]
            hidden = np.maximum(data.x[held].reshape(len(held), -1) @ tree["body.0.weight"] + tree["body.0.bias"], 0)
            logits = (hidden @ tree["head.weight"] + tree["head.bias"])[:, spans[client % 3]]
            right[held] = logits.argmax(1) == data.y[held]
    by_head = [right[rows[data.client[rows] % 3 == head]].mean() for head in range(3)]
    assert score.ok and not score.constant and score.probe is not None
    assert score.metrics["WorstHeadAccuracy/Global"] == pytest.approx(min(by_head), abs=1e-9)
    assert score.metrics["Accuracy/Global"] == pytest.approx(right[rows].mean(), abs=1e-9)
    assert 0 < score.metrics["Loss/PerClient"] < np.log(10)
    personal = [np.mean(score.per_client[head::3]) for head in range(3)]
    assert score.metrics["WorstHeadAccuracy/PerClient"] == pytest.approx(min(personal))
    assert min(personal) > 0.6


def test_answers_that_are_alike_within_each_head_are_constant(judge: Judge) -> None:
    """Though two heads' answers differ: a model that learns nothing, with a head of zeros."""
    task = {"data": {"source": "Digits"}, "clients": 8, "partition": {"kind": "IID"}, "heads": HEADS}

    def blank(step: str, handovers: Path) -> None:
        if step == "simulate":
            rewrite(
                handovers / "checkpoint" / "server.4.npz",
                lambda tree: tree.update({key: np.zeros_like(tree[key]) for key in tree if key.startswith("head.")}),
            )

    score = judge(spec_of(task), FEDAVG, blank)
    assert score.ok and score.constant
    assert score.metrics["Loss/Global"] < np.log(10)


def test_probability_at_foreign_outputs_is_lost(judge: Judge) -> None:
    task = {"data": {"source": "Digits"}, "clients": 8, "partition": {"kind": "IID"}, "heads": HEADS}

    def elsewhere(step: str, handovers: Path) -> None:
        if step == "predict":
            answers = np.load(handovers / "predictions" / "global.npy")
            np.save(handovers / "predictions" / "global.npy", np.ascontiguousarray(np.roll(answers, 2, axis=-1)))

    spec = spec_of(task, rounds=12, hyperparameters={"lr": 0.3})
    honest, moved = judge(spec), judge(spec, FEDAVG, elsewhere)
    assert honest.metrics["WorstHeadAccuracy/Global"] > 0.5 > moved.metrics["WorstHeadAccuracy/Global"] == 0.0


@pytest.mark.parametrize(
    "task",
    [
        {"data": {"source": "BreastCancer"}, "clients": 5},
        {"data": {"source": "Synthetic"}, "clients": 20, "partition": {"kind": "Natural"}},
        {"data": {"source": "SharedRepresentation"}, "clients": 20, "partition": {"kind": "Natural"}},
        {"data": {"source": "Digits"}, "clients": 20, "labelNoise": {}, "devices": {"profile": "Stragglers"}},
    ],
    ids=lambda task: task["data"]["source"],
)
def test_every_kind_of_task_goes_through(task: Mapping[str, object], judge: Judge) -> None:
    score = judge(spec_of(task, split="Test", probe=True, hyperparameters={"lr": 0.1}))
    assert score.ok and score.probe is not None and len(score.per_client) == task["clients"]


# -- trees that are not the model's ------------------------------------------------------------------------------------
def rewrite(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    with np.load(path, allow_pickle=True) as file:
        tree = {key: file[key] for key in file.files}
    change(tree)
    np.savez(path, **tree)


TREES = {
    "another key": lambda tree: tree.update(extra=np.zeros(3, np.float32)),
    "a key too few": lambda tree: tree.pop("head.bias"),
    "another shape": lambda tree: tree.update({"head.bias": np.zeros(11, np.float32)}),
    "another dtype": lambda tree: tree.update({"head.bias": np.zeros(10, np.float64)}),
    "objects": lambda tree: tree.update({"head.bias": np.array([None] * 10)}),
}


@pytest.mark.parametrize("name", TREES)
def test_a_tree_that_is_not_the_tasks_model_is_refused(
    name: str, chain: Chain, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(chain.root / "handovers" / "checkpoint" / "server.3.npz", TREES[name])
    work = judge_of(*chain.documents.values())  # type: ignore[arg-type]
    assert chain_status(chain, work.steps[2]) == 1
    assert "server.3.npz" in (said := capsys.readouterr().err) or "round 3" in said


def chain_status(chain: Chain, step: object) -> int:
    box = chain.root / f"box-{step.name}"  # type: ignore[attr-defined]
    chain._furnish(box, step)  # type: ignore[arg-type]
    chain.monkeypatch.setenv("FEDWRIGHT_BOX", str(box))
    return predict.main(["checkpoint", "predictions"])


def test_a_stash_of_training_rows_beside_the_model_is_refused(
    chain: Chain, spec: JudgeSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    data = load_task(spec.task, spec.seed)
    checkpoint = chain.root / "handovers" / "checkpoint"
    np.savez(checkpoint / "client-0.3.npz", rows=data.x[data.rows(TRAIN)])
    work = judge_of(*chain.documents.values())  # type: ignore[arg-type]
    assert chain_status(chain, work.steps[2]) == 1
    assert "lays 'rows'" in capsys.readouterr().err


def test_models_of_rounds_that_were_not_asked_for_are_refused(chain: Chain) -> None:
    (chain.root / "handovers" / "checkpoint" / "server.3.npz").unlink()
    work = judge_of(*chain.documents.values())  # type: ignore[arg-type]
    assert chain_status(chain, work.steps[2]) == 1


HOARDER = """
from dataclasses import dataclass, replace

import numpy as np

from fedwright_federation.algorithm import View
from fedwright_federation.parts.surgery import Surgery
from fedwright_federation.strategies import fedavg

class Hoarding(Surgery):
    def init(self, seed):
        return {**self.base.init(seed), "body.9.bias": np.zeros(NUMBERS, np.float32)}

class Hoard(View):
    cohort = True
    def model(self, base):
        return Hoarding(base)

def build(hyperparameters):
    return replace(fedavg(lr=0.3), view=Hoard())
"""


@pytest.mark.parametrize(
    ("numbers", "says"),
    [("68992", "handover checkpoint is too large"), ("4000", "predict"), ("2000", "")],
    ids=["the training set", "four models", "less than two more models"],
)
def test_a_model_that_grows_into_a_store_of_rows_is_refused(
    numbers: str, says: str, judge: Judge, spec: JudgeSpec
) -> None:
    """A nearest-neighbour look-up needs its rows at hand; neither the cap nor the growth of the model leaves room."""
    hoarder = HOARDER.replace("NUMBERS", numbers)
    if says:
        with pytest.raises(AssertionError, match=says):
            judge(spec, hoarder)
    else:
        assert judge(spec, hoarder).ok


def test_a_diverged_model_is_said_to_be_one(chain: Chain) -> None:
    def overflow(tree: dict[str, np.ndarray]) -> None:
        tree["head.weight"][:] = np.float32(np.nan)

    rewrite(chain.root / "handovers" / "checkpoint" / "server.6.npz", overflow)
    work = judge_of(*chain.documents.values())  # type: ignore[arg-type]
    for step in work.steps[2:]:
        assert chain.step(step) == 0
    score = json.loads((chain.root / "out" / "score.json").read_text())
    assert score["ok"] is False and "diverged" in score["reason"]
