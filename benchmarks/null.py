"""How often a request of equal candidates is told that one of them is better. The level promises at most one in twenty."""

from benchmarks.requests import amended, example, run
from benchmarks.table import Row

REPETITIONS = 50


def measure(repetitions: int = REPETITIONS) -> list[Row]:
    """False winners on examples/null.yaml over fresh seeds."""
    null = example("null")
    answers = [run(amended(null, judging={"seed": seed})) for seed in range(1, repetitions + 1)]
    false = sum(answer.winner is not None for answer in answers)
    seconds = sum(answer.seconds for answer in answers)
    return [
        Row("null.yaml: false winners", false / repetitions, "share", f"{false} of {repetitions}, at most 0.05"),
        Row("null.yaml: seconds a request", seconds / repetitions, "s"),
    ]
