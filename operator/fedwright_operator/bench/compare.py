"""A mind's answers against each baseline, paired on the fresh seeds. The statistics are the judge's own program's, run beside us."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from fedwright_crds.base import canonical
from fedwright_crds.documents import DecideInput, Decision, Finalist, Score
from fedwright_crds.request import Objective
from fedwright_operator.bench.findings import Run, Scores

PROGRAM = "fedwright_federation.judging.decide"
ANSWER = "answer"
LEVEL = 0.05


class JudgeError(Exception):
    """The judge's program did not answer."""


@dataclass(frozen=True)
class Against:
    """The answer less a baseline, in the objective's unit."""

    answer: float
    baseline: float
    difference: float
    low: float
    high: float
    level: float
    runs: int
    pairs: int
    """What the interval is over: runs, or the fresh seeds of a single one."""


def against(runs: Sequence[tuple[Run, Mapping[str, Run]]], methods: Sequence[str]) -> dict[str, Against]:
    """By method; runs are paired with those of the baselines on the same seed.

    Several runs count one each, by their means: fresh seeds within a run share its answer. Runs in which the answer or a baseline
    was not judged are left out; a method without a figure is not in the result. Raises JudgeError.
    """
    rows = [row for row in (_row(run, others, methods) for run, others in runs) if row]
    if not rows:
        return {}
    objective = runs[0][0].request.spec.objective
    columns = {name: _column([row[name] for row in rows], objective) for name in (ANSWER, *methods)}
    return {
        one.candidate: Against(
            answer=one.reference_value,
            baseline=one.candidate_value,
            difference=0.0 - one.difference,  # not -0.0 where they are equal
            low=0.0 - one.high,
            high=0.0 - one.low,
            level=one.level,
            runs=len(rows),
            pairs=one.fresh_seeds,
        )
        for one in _decided(columns, objective).objective
    }


def _row(run: Run, others: Mapping[str, Run], methods: Sequence[str]) -> dict[str, Scores]:
    """Scores of one seed by name; empty unless all are there."""
    found = {ANSWER: run.scores.get(run.answer, ()) if run.answered else ()}
    found |= {method: others[method].of_method(method) if method in others else () for method in methods}
    length = len(found[ANSWER])
    whole = length > 1 and all(len(one) == length and all(score.ok for score in one) for one in found.values())
    return found if whole else {}


def _column(rows: Sequence[Scores], objective: Objective) -> Scores:
    if len(rows) == 1:
        return rows[0]
    key = f"{objective.metric}/{objective.scope}"
    return tuple(Score(ok=True, metrics={key: fmean(score.metrics[key] for score in row)}) for row in rows)


def _decided(columns: Mapping[str, Scores], objective: Objective) -> Decision:
    """The answer takes the baseline's place, so that one decision compares it with all."""
    given = DecideInput(
        objective=objective,
        level=LEVEL,
        finalists=tuple(
            Finalist(
                candidate=name,
                title=name,
                role="Baseline" if name == ANSWER else "Finalist",
                hyperparameters={},
                scores=scores,
                federated=True,
            )
            for name, scores in columns.items()
        ),
    )
    return Decision.model_validate_json(_judged(canonical(given.to_wire())))


def _judged(document: bytes) -> bytes:
    with TemporaryDirectory(prefix="fedwright-bench-") as folder:
        box = Path(folder)
        for name in ("in", "out"):
            (box / name).mkdir()
        (box / "in" / "decide.json").write_bytes(document)
        words, environment = [sys.executable, "-m", PROGRAM], {**os.environ, "FEDWRIGHT_BOX": folder}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise JudgeError(f"{PROGRAM} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return (box / "out" / "decision.json").read_bytes()
