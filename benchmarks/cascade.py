"""The cascade against judging every candidate in full: what it saves, and how often it changes the winner.

On the first generation of examples/digits-noniid.yaml: FedAvg, three methods of the catalogue, two compositions.
"""

from benchmarks.requests import Answer, amended, example, run
from benchmarks.table import Row

SEEDS = 10


def measure(seeds: int = SEEDS) -> list[Row]:
    """The same requests twice, over several seeds."""
    search = {"generations": 0, "trials": 4}
    digits = amended(
        example("digits-noniid"), deployment={"enabled": False}, budgets={"wallSeconds": 3600}, search=search
    )
    pairs = [
        tuple(run(amended(digits, judging={"seed": seed, "cascade": cascade})) for cascade in (True, False))
        for seed in range(1, seeds + 1)
    ]
    same = sum(cascade.winner == full.winner for cascade, full in pairs)
    saved = 1 - sum(_rounds(one) for one, _ in pairs) / sum(_rounds(full) for _, full in pairs)
    return [
        Row("cascade: same winner as in full", same / seeds, "share", f"{same} of {seeds}"),
        Row("cascade: simulated rounds saved", saved, "share"),
        Row("cascade: seconds a request", sum(one.seconds for one, _ in pairs) / seeds, "s"),
        Row("in full: seconds a request", sum(full.seconds for _, full in pairs) / seeds, "s"),
    ]


def _rounds(answer: Answer) -> int:
    return int(answer.result["spent"]["simulatedRounds"])
