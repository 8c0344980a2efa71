"""The units of work that judge: inspect, judge a run, check that it is federated, decide.

Pure builders, so that every backend runs the same steps under the same limits. Names of handovers, and which step sees
which, are decided here and nowhere else.
"""

import math
from collections.abc import Mapping
from itertools import pairwise

from fedwright_crds.base import Digest
from fedwright_crds.documents import DataFacts, JudgeSpec
from fedwright_crds.task import Architecture, ModelSpec
from fedwright_crds.work import MIB, BoxKind, Handover, Input, Output, Step, Work

Images = Mapping[BoxKind, Digest]
JUDGING = "fedwright_federation.judging"
FLEET = "fedwright_federation.simulation.fleet"

HEADROOM = 1.25
"""Bytes of a checkpoint over bytes of the models that it must hold: too few to hide a training set beside them."""
ASKED = 2
"""Rows that are asked over rows that there are: the judged and the probes, each with its twin, are six fifths at most."""
MOST_BYTES = 256 * MIB
SCORE = Output(name="score.json", max_bytes=MIB)


def inspect_work(task: Input, images: Images) -> Work:
    """Facts of the data, or the problem with it: exactly one of the two documents is written."""
    outputs = (
        Output(name="facts.json", max_bytes=MIB, required=False),
        Output(name="problem.json", max_bytes=MIB, required=False),
    )
    return _alone("inspect", task, outputs, images)


def decide_work(document: Input, images: Images) -> Work:
    return _alone("decide", document, (Output(name="decision.json", max_bytes=MIB),), images)


def _alone(name: str, document: Input, outputs: tuple[Output, ...], images: Images) -> Work:
    step = Step(
        name=name,
        box=BoxKind.JUDGE,
        program=(f"{JUDGING}.{name}",),
        inputs=(document.name,),
        outputs=tuple(output.name for output in outputs),
        wall_seconds=120,
        memory_mib=2048,
    )
    return Work(kind=name, steps=(step,), inputs=(document,), outputs=outputs, images=_only(images, BoxKind.JUDGE))


def judging_work(document: Input, code: Input, images: Images, spec: JudgeSpec, facts: DataFacts) -> Work:
    """prepare (judge) -> simulate (bench) -> predict (bench, afresh) -> score (judge)."""
    steps = (
        _prepare(document),
        _simulate(document, code, spec),
        _predict("predict", document, code, "checkpoint", "predictions"),
        _score(document, ("labels", "predictions", "declared")),
    )
    return _judging("judge", steps, _handovers(spec, facts), document, code, images)


def verification_work(document: Input, code: Input, images: Images, spec: JudgeSpec, facts: DataFacts) -> Work:
    """The same run pooled, client by client, and with a process per client that holds only its shard; both must agree."""
    clients = spec.task.clients
    fleet = Step(
        name="fleet",
        box=BoxKind.BENCH,
        program=(FLEET,),
        inputs=(document.name, code.name),
        reads=("shards",),
        writes=("federated",),
        wall_seconds=_seconds(spec) + 2.0 * clients,
        fleet=clients,
    )
    steps = (
        _prepare(document),
        _simulate(document, code, spec),
        fleet,
        _predict("predict", document, code, "checkpoint", "predictions"),
        _predict("predict-federated", document, code, "federated", "federated-predictions"),
        _score(document, ("labels", "predictions", "declared", "federated-predictions"), "federated-predictions"),
    )
    sizes = {handover.name: handover.max_bytes for handover in _handovers(spec, facts)}
    twins = (
        Handover(name="federated", max_bytes=sizes["checkpoint"]),
        Handover(name="federated-predictions", max_bytes=sizes["predictions"]),
    )
    return _judging("verify", steps, (*_handovers(spec, facts), *twins), document, code, images)


def _judging(
    kind: str,
    steps: tuple[Step, ...],
    handovers: tuple[Handover, ...],
    document: Input,
    code: Input,
    images: Images,
) -> Work:
    return Work(
        kind=kind,
        steps=steps,
        inputs=(document, code),
        handovers=handovers,
        outputs=(SCORE,),
        images=_only(images, BoxKind.JUDGE, BoxKind.BENCH),
    )


def _prepare(document: Input) -> Step:
    return Step(
        name="prepare",
        box=BoxKind.JUDGE,
        program=(f"{JUDGING}.prepare",),
        inputs=(document.name,),
        writes=("shards", "inputs", "labels"),
        wall_seconds=120,
        memory_mib=2048,
        quiet=True,
    )


def _simulate(document: Input, code: Input, spec: JudgeSpec) -> Step:
    return Step(
        name="simulate",
        box=BoxKind.BENCH,
        program=(f"{JUDGING}.simulate",),
        inputs=(document.name, code.name),
        reads=("shards",),
        writes=("checkpoint", "declared"),
        wall_seconds=_seconds(spec),
    )


def _predict(name: str, document: Input, code: Input, checkpoint: str, predictions: str) -> Step:
    return Step(
        name=name,
        box=BoxKind.BENCH,
        program=(f"{JUDGING}.predict", checkpoint, predictions),
        inputs=(document.name, code.name),
        reads=(checkpoint, "inputs", "declared"),
        writes=(predictions,),
        wall_seconds=120,
        quiet=True,
    )


def _score(document: Input, reads: tuple[str, ...], *arguments: str) -> Step:
    return Step(
        name="score",
        box=BoxKind.JUDGE,
        program=(f"{JUDGING}.score", *arguments),
        inputs=(document.name,),
        reads=reads,
        outputs=(SCORE.name,),
        wall_seconds=60,
        quiet=True,
    )


def _seconds(spec: JudgeSpec) -> float:
    """Wall-clock limit of a simulation: generous for the slowest honest method, finite for a loop."""
    cohort = spec.task.clients * spec.task.training.participation
    return min(7200.0, 60.0 + spec.rounds * max(1.0, 0.1 * cohort))


def _handovers(spec: JudgeSpec, facts: DataFacts) -> tuple[Handover, ...]:
    rows, values = facts.samples, math.prod(facts.input_shape)
    data = rows * (4 * values + 32) + 4096 * (spec.task.clients + 16)
    evaluations = len(evaluated_rounds(spec))
    answers = 4 * ASKED * rows * facts.classes * evaluations
    return (
        Handover(name="shards", max_bytes=_capped(data)),
        Handover(name="inputs", max_bytes=_capped(ASKED * data)),
        Handover(name="labels", max_bytes=_capped(128 * rows + 65536)),
        Handover(name="checkpoint", max_bytes=checkpoint_bytes(spec, facts)),
        Handover(name="declared", max_bytes=MIB),
        Handover(name="predictions", max_bytes=_capped(2 * answers + 4096)),
    )


def checkpoint_bytes(spec: JudgeSpec, facts: DataFacts) -> int:
    """Room for the global model, and one more for what each client may keep private, at each evaluation."""
    model = 4 * parameters(spec.model, facts.input_shape, facts.classes)
    models = len(evaluated_rounds(spec)) * (1 + spec.task.clients)
    return _capped(math.ceil(HEADROOM * models * model) + 4096 * models)


def _capped(size: int) -> int:
    return max(1, min(MOST_BYTES, size))


def _only(images: Images, *boxes: BoxKind) -> dict[BoxKind, Digest]:
    return {box: images[box] for box in boxes}


def evaluated_rounds(spec: JudgeSpec) -> tuple[int, ...]:
    """Rounds, counted from 1, after which the model is judged: evenly spaced ones, the last, and the end of each stage."""
    spaced = {-(-spec.rounds * i // spec.evaluations) for i in range(1, spec.evaluations + 1)}
    stages = set(stage_ends(spec.rounds, spec.task.continual.tasks).values()) if spec.task.continual else set()
    return tuple(sorted(spaced | stages))


def stage_of(number: int, rounds: int, tasks: int) -> int:
    """The stage, from 0, that a round of a continual task belongs to. Stages have equal shares of the rounds."""
    return (number - 1) * tasks // rounds


def stage_ends(rounds: int, tasks: int) -> dict[int, int]:
    """The last round of each stage. A run with fewer rounds than stages passes some over."""
    return {stage_of(number, rounds, tasks): number for number in range(1, rounds + 1)}


def parameters(model: ModelSpec, input_shape: tuple[int, ...], classes: int) -> int:
    """How many numbers the requested model holds, running statistics included."""
    if model.architecture is Architecture.CNN:
        return _cnn_parameters(model, input_shape, classes)
    hidden = model.hidden if model.architecture is Architecture.MLP else ()
    widths = (math.prod(input_shape), *hidden, classes)
    dense = sum(below * width + width for below, width in pairwise(widths))
    return dense + (4 * sum(hidden) if model.batch_norm else 0)


def _cnn_parameters(model: ModelSpec, input_shape: tuple[int, ...], classes: int) -> int:
    channels, height, width = (1, 1, 1, *input_shape)[-3:]
    total = 0
    for out in model.hidden:
        total += 9 * channels * out + out + (4 * out if model.batch_norm else 0)
        channels, height, width = out, height // 2, width // 2
    return total + channels * height * width * classes + classes
