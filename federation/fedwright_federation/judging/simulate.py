"""The bench's first step: run the candidate on the shards; hand on the models to judge, and what the run says of itself.

This process runs generated code. It holds training data alone, and what it says is a claim.
"""

import sys
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np

from fedwright_crds.box import Box
from fedwright_crds.documents import CandidateCode, JudgeSpec, ServerFacts
from fedwright_federation.algorithm import Evaluation, Strategy, View, on_heads
from fedwright_federation.candidates.loader import load_strategy
from fedwright_federation.heads import Heads
from fedwright_federation.judging.declared import Declared
from fedwright_federation.judging.programs import folder, judge_spec, write
from fedwright_federation.models import build_model
from fedwright_federation.simulation.checkpoints import save_checkpoint
from fedwright_federation.simulation.engine import Executor, SimulationResult, simulate
from fedwright_federation.simulation.run import Shard, ShardOf, by_period, run_of


def main(argv: Sequence[str]) -> int:
    del argv
    box = Box.here()
    spec = judge_spec(box)
    code = CandidateCode.model_validate_json(box.input("code.json").read_bytes())
    shards = box.received("shards")
    facts = ServerFacts.model_validate_json((shards / "server.json").read_bytes())
    strategy = load_strategy(code, spec.hyperparameters)
    model = build_model(spec.model, facts.input_shape, facts.classes)
    heads = Heads(spec.task.outputs(facts.classes))
    executor: Executor = "sequential" if spec.sequential else "cohort"
    result = simulate(on_heads(strategy, heads), model, read_shards(shards, spec), run_of(spec), executor)
    for checkpoint in result.checkpoints:
        save_checkpoint(folder(box.handover("checkpoint")), checkpoint)
    write(box.handover("declared") / "declared.json", declared(result, strategy))
    return 0


def read_shards(where: Path, spec: JudgeSpec) -> ShardOf:
    """Each client's training rows by round."""
    by_client = [_rows(where / f"client-{client}.npz", spec) for client in range(spec.task.clients)]
    return lambda client, number: by_client[client](number)


def _rows(path: Path, spec: JudgeSpec) -> Callable[[int], Shard]:
    with np.load(path, allow_pickle=False) as file:
        shard = Shard(file["x"], file["y"])
        if spec.task.continual is None:
            return lambda _: shard
        return by_period(shard, file["period"], spec.task.continual.tasks, spec.rounds)


def declared(result: SimulationResult, strategy: Strategy) -> Declared:
    rounds = tuple(checkpoint.round for checkpoint in result.checkpoints)
    at = [number - 1 for number in rounds]
    history = result.history

    def spent(figures: Sequence[int]) -> tuple[int, ...]:
        total = list(accumulate(figures))
        return tuple(total[i] for i in at)

    seconds = list(accumulate(report.seconds for report in history))
    return Declared(
        rounds=rounds,
        upload_bytes=spent([report.upload_bytes for report in history]),
        download_bytes=spent([report.download_bytes for report in history]),
        seconds=tuple(seconds[i] for i in at),
        steps=spent([report.steps for report in history]),
        epsilon=history[-1].epsilon,
        own_evaluation=own_evaluation(strategy),
    )


def own_evaluation(strategy: Strategy) -> bool:
    surgery = type(strategy.view).model is not View.model
    return surgery or type(strategy.evaluation).logits is not Evaluation.logits


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
