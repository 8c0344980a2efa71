"""The demo as a new user runs it: wall time, and the peak memory of all its processes together."""

from benchmarks.requests import example, run
from benchmarks.table import Row


def measure() -> list[Row]:
    answer = run(example("digits-noniid"))
    return [
        Row("demo: wall time", answer.seconds, "s", "at most 360"),
        Row(
            "demo: peak memory", float(answer.result["peakMemoryMiB"]), "MiB", "proportional set size of the whole tree"
        ),
    ]
