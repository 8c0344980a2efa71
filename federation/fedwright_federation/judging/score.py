"""The judge's last step: predictions and labels to one result.

Whatever is wrong with what the bench left is the candidate's: the score says so, and this program ends well. If it ends
badly, that is our own bug.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from fedwright_crds.base import digest_of
from fedwright_crds.box import Box
from fedwright_crds.documents import CurvePoint, JudgeSpec, Score
from fedwright_crds.judging_work import evaluated_rounds, stage_ends
from fedwright_crds.task import Metric, Scope, Task
from fedwright_crds.work import MIB
from fedwright_federation.judging import measures
from fedwright_federation.judging.declared import Declared
from fedwright_federation.judging.hostile import RefusedError, read_bytes, read_probabilities
from fedwright_federation.judging.labels import Labels
from fedwright_federation.judging.privacy import probe
from fedwright_federation.judging.probes import Role
from fedwright_federation.judging.programs import judge_spec, write

CONSTANT = 1e-6
"""Answers that differ by less from row to row say nothing of the row."""
SAME = 1e-5
"""Greatest difference of a probability between a pooled and a federated run of one strategy."""
Answers = NDArray[np.float32]


def main(argv: Sequence[str]) -> int:
    """`argv` may name the predictions of a federated run, to be compared with the pooled one's."""
    box = Box.here()
    spec = judge_spec(box)
    labels = Labels.read(box.received("labels") / "labels.npz")
    try:
        run = read_run(box.received("predictions"), box.received("declared"), spec, labels)
        score = scored(run, spec, labels)
        for federated in argv:
            score = compared(score, run, box.received(federated))
    except RefusedError as error:
        score = Score(ok=False, reason=str(error)[:1000])
    write(box.output("score.json"), score)
    return 0


@dataclass(frozen=True)
class Run:
    """What the bench left, found to be well-formed. Answers are [evaluations, n, classes]."""

    rounds: tuple[int, ...]
    everyone: Answers
    """The global model's."""
    own: Answers | None
    """Each row answered by its own client's model, where clients have such."""
    declared: Declared

    @property
    def by_scope(self) -> Mapping[Scope, Answers]:
        return {Scope.GLOBAL: self.everyone, Scope.PER_CLIENT: self.everyone if self.own is None else self.own}


def read_run(predictions: Path, declared: Path, spec: JudgeSpec, labels: Labels) -> Run:
    """Raises RefusedError."""
    rounds = evaluated_rounds(spec)
    shape = (len(rounds), len(labels.y), labels.classes)
    everyone = read_probabilities(predictions / "global.npy", shape)
    return Run(rounds, everyone, _personal(predictions / "personal.npy", shape), _declared(declared, rounds))


def _personal(path: Path, shape: tuple[int, ...]) -> Answers | None:
    return read_probabilities(path, shape) if path.is_symlink() or path.exists() else None


def _declared(folder: Path, rounds: tuple[int, ...]) -> Declared:
    try:
        said = Declared.model_validate_json(read_bytes(folder / "declared.json", MIB))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise RefusedError(f"declared.json: {_place(first['loc'])}: {first['msg']}"[:500]) from error
    if said.rounds != rounds:
        raise RefusedError(f"declared.json speaks of rounds {said.rounds[:8]} and {rounds[:8]} were judged")
    return said


def _place(location: tuple[int | str, ...]) -> str:
    """Where a claim is wrong, without repeating names of the bench's own making."""
    known = {field.alias for field in Declared.model_fields.values()}
    if not location:
        return "as a whole"
    return ".".join(map(str, location)) if location[0] in known else "an unknown field"


def scored(run: Run, spec: JudgeSpec, labels: Labels) -> Score:
    """Every figure that this task can give."""
    questions = Questions.of(labels, spec.task)
    found = probe({str(scope): answers[-1] for scope, answers in run.by_scope.items()}, labels)
    leaks = {Metric.MEMBERSHIP_AUC: found.auc, Metric.MEMBERSHIP_TPR: found.tpr_at_1_fpr} if found else {}
    metrics: dict[str, float] = {}
    for scope, answers in run.by_scope.items():
        values = {**_quality(scope, answers, questions), **_costs(run.declared), **leaks}
        values |= _reached(scope, answers, run.rounds, spec, questions)
        values |= _continual(scope, answers, run.rounds, spec, questions)
        metrics |= {f"{metric}/{scope}": value for metric, value in values.items()}
    own = questions.right(run.by_scope[Scope.PER_CLIENT][-1])
    return Score(
        ok=True,
        metrics=metrics,
        curve=_curve(run, questions),
        per_client=tuple(map(float, questions.by_client(own))),
        probe=found,
        constant=_constant(run.everyone[-1], labels.client % questions.heads),
        epsilon=run.declared.epsilon,
        predictions=digest_of(run.everyone.tobytes()),
    )


@dataclass(frozen=True)
class Questions:
    """The rows that count: those of the opened split, without probes. All [m], by position among the inputs."""

    rows: NDArray[np.intp]
    y: NDArray[np.int64]
    client: NDArray[np.int64]
    stage: NDArray[np.int16]
    clients: int
    heads: int

    @classmethod
    def of(cls, labels: Labels, task: Task) -> "Questions":
        rows = labels.of(Role.JUDGED)
        heads = max(1, len(task.heads))
        return cls(rows, labels.y[rows], labels.client[rows], labels.stage[rows], task.clients, heads)

    def right(self, answers: Answers) -> NDArray[np.bool_]:
        """[m], from answers to all inputs."""
        return measures.correct(answers[self.rows], self.y)

    def by_client(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        return measures.by_client(values, self.client, self.clients)

    def by_head(self, values: NDArray[np.generic], scope: Scope) -> list[float]:
        """The mean over each head's rows, or over its clients."""
        if scope is Scope.PER_CLIENT:
            own = self.by_client(values)
            return [float(own[head :: self.heads].mean()) for head in range(self.heads)]
        return [float(values[self.client % self.heads == head].mean()) for head in range(self.heads)]

    def mean(self, values: NDArray[np.generic], scope: Scope) -> float:
        """Over all rows together, or over clients."""
        return float(self.by_client(values).mean() if scope is Scope.PER_CLIENT else values.mean())


def _quality(scope: Scope, answers: Answers, questions: Questions) -> dict[Metric, float]:
    right = questions.right(answers[-1])
    worst = {Metric.WORST_HEAD_ACCURACY: min(questions.by_head(right, scope))} if questions.heads > 1 else {}
    return {
        **worst,
        Metric.ACCURACY: questions.mean(right, scope),
        Metric.LOSS: questions.mean(measures.losses(answers[-1, questions.rows], questions.y), scope),
        Metric.WORST_TENTH_ACCURACY: measures.worst_tenth(questions.by_client(right)),
    }


def _constant(answers: Answers, head: NDArray[np.int64]) -> bool:
    """Whether no head's answers vary with the row."""
    return all(bool(np.ptp(answers[head == one], axis=0).max() < CONSTANT) for one in np.unique(head))


def _costs(said: Declared) -> dict[Metric, float]:
    return {
        Metric.UPLOAD_MEBIBYTES: said.upload_bytes[-1] / MIB,
        Metric.DOWNLOAD_MEBIBYTES: said.download_bytes[-1] / MIB,
        Metric.SIMULATED_SECONDS: said.seconds[-1],
        Metric.LOCAL_STEPS: float(said.steps[-1]),
    }


def _reached(
    scope: Scope, answers: Answers, rounds: tuple[int, ...], spec: JudgeSpec, questions: Questions
) -> dict[Metric, float]:
    target = spec.objective.target_accuracy
    if target is None:
        return {}
    accuracy = [questions.mean(questions.right(p), scope) for p in answers]
    return {Metric.ROUNDS_TO_TARGET: float(measures.rounds_to_target(rounds, accuracy, target))}


def _continual(
    scope: Scope, answers: Answers, rounds: tuple[int, ...], spec: JudgeSpec, questions: Questions
) -> dict[Metric, float]:
    """A[k, j], the accuracy on the rows of stage j when stage k ends, and what follows from it."""
    if spec.task.continual is None:
        return {}
    ends = stage_ends(spec.rounds, spec.task.continual.tasks)
    after = {
        stage: _by_stage(questions.right(answers[rounds.index(number)]), questions, scope)
        for stage, number in ends.items()
    }
    return {
        Metric.AVERAGE_ACCURACY: measures.average_accuracy(after[max(after)]),
        Metric.FORGETTING: measures.forgetting(after),
    }


def _by_stage(right: NDArray[np.bool_], questions: Questions, scope: Scope) -> dict[int, float]:
    """Clients without rows of a stage have no part in its mean."""
    found = {}
    for stage in np.unique(questions.stage):
        held = questions.stage == stage
        if scope is Scope.PER_CLIENT:
            own = measures.by_client(right[held], questions.client[held], questions.clients)
            found[int(stage)] = float(np.nanmean(own))
        else:
            found[int(stage)] = float(right[held].mean())
    return found


def _curve(run: Run, questions: Questions) -> tuple[CurvePoint, ...]:
    points = []
    for at, number in enumerate(run.rounds):
        everyone, own = (questions.right(run.by_scope[scope][at]) for scope in Scope)
        points.append(
            CurvePoint(
                round=number,
                accuracy=questions.mean(everyone, Scope.GLOBAL),
                client_accuracy=questions.mean(own, Scope.PER_CLIENT),
                upload_mebibytes=run.declared.upload_bytes[at] / MIB,
                simulated_seconds=run.declared.seconds[at],
            )
        )
    return tuple(points)


def compared(score: Score, run: Run, federated: Path) -> Score:
    """The score of a pooled run, held against the answers of the same run with a process per client."""
    pairs = [(run.everyone, read_probabilities(federated / "global.npy", run.everyone.shape))]
    if run.own is not None:
        pairs.append((run.own, read_probabilities(federated / "personal.npy", run.own.shape)))
    apart = max(float(np.abs(one - other).max()) for one, other in pairs)
    if apart <= SAME:
        return score.model_copy(update={"largest_difference": apart})
    reason = (
        f"NotFederated: with a process per client the answers differ by {apart:.2g}, more than {SAME:g}; "
        "a client may use its own shard and state and what the server sends it, nothing else"
    )
    return Score(ok=False, reason=reason, largest_difference=apart)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
