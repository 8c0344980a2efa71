"""The bench's second step, in a fresh process: models and unlabelled inputs to class probabilities.

The platform's own code over plain trees with the names, shapes and dtypes of the task's model. The candidate is loaded
only where its strategy changes the model or answers with something other than its logits.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from fedwright_crds.box import Box
from fedwright_crds.documents import CandidateCode, JudgeSpec
from fedwright_crds.judging_work import evaluated_rounds
from fedwright_federation.algorithm import Evaluation, Model, Tree, own_part
from fedwright_federation.algorithm.neutral import GlobalModel
from fedwright_federation.algorithm.tree import size
from fedwright_federation.candidates.loader import load_strategy
from fedwright_federation.heads import Heads
from fedwright_federation.judging.declared import Declared
from fedwright_federation.judging.programs import folder, judge_spec
from fedwright_federation.models import build_model
from fedwright_federation.simulation.checkpoints import CheckpointError, load_checkpoints
from fedwright_federation.simulation.run import Checkpoint

Probabilities: TypeAlias = NDArray[np.float32]

MOST_GROWTH = 3.0
"""Of a strategy's own model over the task's, in numbers held: more could be a store of training rows."""
_CHUNK = 2048


def main(argv: Sequence[str]) -> int:
    """Handovers: the checkpoint to read, and the predictions to write."""
    checkpoint, predictions = argv
    torch.set_num_threads(1)
    box = Box.here()
    spec = judge_spec(box)
    with np.load(box.received("inputs") / "inputs.npz", allow_pickle=False) as file:
        x, client, classes = file["x"], file["client"], int(file["classes"])
    try:
        model, evaluation = _judged_by(box, spec, build_model(spec.model, x.shape[1:], classes))
        checkpoints = load_checkpoints(box.received(checkpoint))
        require_plain(checkpoints, model.init(spec.seed), evaluated_rounds(spec))
    except CheckpointError as error:
        print(error, file=sys.stderr)
        return 1
    to = folder(box.handover(predictions))
    asked = Asked(x, client, Heads(spec.task.outputs(classes)))
    answers = [by_head(model, evaluation, one, asked) for one in checkpoints]
    np.save(to / "global.npy", np.stack(answers))
    if any(one.personal for one in checkpoints):
        own = [personal(model, evaluation, *given, asked) for given in zip(checkpoints, answers, strict=True)]
        np.save(to / "personal.npy", np.stack(own))
    return 0


@dataclass(frozen=True)
class Asked:
    """x [n, ...], and whose each row is, client [n]. Answers give every class but those of the client's head nothing."""

    x: Probabilities
    client: NDArray[np.int64]
    heads: Heads


def _judged_by(box: Box, spec: JudgeSpec, plain: Model) -> tuple[Model, Evaluation]:
    said = Declared.model_validate_json((box.received("declared") / "declared.json").read_bytes())
    if not said.own_evaluation:
        return plain, GlobalModel()
    code = CandidateCode.model_validate_json(box.input("code.json").read_bytes())
    strategy = load_strategy(code, spec.hyperparameters)
    model = strategy.view.model(plain)
    grown = size(model.init(spec.seed)) / size(plain.init(spec.seed))
    if grown > MOST_GROWTH:
        raise CheckpointError(f"the strategy's model is {grown:.1f} times the task's, more than {MOST_GROWTH:g}")
    return model, strategy.evaluation


def require_plain(checkpoints: Sequence[Checkpoint], like: Tree, rounds: Sequence[int]) -> None:
    """Raises CheckpointError unless there is one model a round, with exactly the keys and shapes of `like`.

    What a client lays over it may hold fewer keys, and be narrower where the client's own model is.
    """
    found = tuple(one.round for one in checkpoints)
    if found != tuple(rounds):
        raise CheckpointError(f"models of rounds {found[:8]} where {tuple(rounds)[:8]} belong")
    shapes = {key: value.shape for key, value in like.items()}
    for one in checkpoints:
        if {key: value.shape for key, value in one.model.items()} != shapes:
            raise CheckpointError(f"the model of round {one.round} has other keys or shapes than the task's")
        for client, tree in one.personal.items():
            for key, value in tree.items():
                if key not in shapes or not _within(value.shape, shapes[key]):
                    raise CheckpointError(
                        f"client {client} lays {key!r} {value.shape} over the model of round {one.round}"
                    )


def _within(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    return len(shape) == len(whole) and all(part <= full for part, full in zip(shape, whole, strict=True))


def probabilities(
    model: Model, evaluation: Evaluation, tree: Mapping[str, NDArray[np.float32]], x: Probabilities
) -> Probabilities:
    """[n, classes of the tree] float32 in C order, each row summing to 1."""
    tensors = {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in tree.items()}
    with torch.no_grad():
        answers = [
            evaluation.logits(model.forward(tensors, part, train=False)).double().softmax(-1) for part in _parts(x)
        ]
    return np.ascontiguousarray(torch.cat(answers).numpy(), dtype=np.float32)


def _parts(x: Probabilities) -> Iterator[torch.Tensor]:
    return (torch.from_numpy(x[i : i + _CHUNK]) for i in range(0, len(x), _CHUNK))


def by_head(model: Model, evaluation: Evaluation, checkpoint: Checkpoint, asked: Asked) -> Probabilities:
    """[n, classes]: each row by the global model with the head of its client."""
    heads = asked.heads
    answers = np.zeros((len(asked.x), sum(heads.outputs)), dtype=np.float32)
    for head in range(len(heads.outputs)):
        rows = np.flatnonzero(asked.client % len(heads.outputs) == head)
        if len(rows):
            tree = own_part(heads, model, checkpoint.model, head)
            answers[np.ix_(rows, heads.span(head))] = probabilities(model, evaluation, tree, asked.x[rows])
    return answers


def personal(
    model: Model, evaluation: Evaluation, checkpoint: Checkpoint, answers: Probabilities, asked: Asked
) -> Probabilities:
    """As `answers`, but each row by its own client's model."""
    own, heads = answers.copy(), asked.heads
    for owner, laid_over in checkpoint.personal.items():
        rows = np.flatnonzero(asked.client == owner)
        if len(rows):
            tree = {**own_part(heads, model, checkpoint.model, owner), **laid_over}
            own[np.ix_(rows, heads.span(owner))] = probabilities(model, evaluation, tree, asked.x[rows])
    return own


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
