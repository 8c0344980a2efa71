"""What a box costs: the overhead of a step in a warm one, the start of each kind, and the memory that waits."""

import os
import statistics
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.table import Row
from fedwright_boxes import LocalBoxes
from fedwright_boxes.memory import tree, tree_bytes
from fedwright_crds.base import Digest, digest_of
from fedwright_crds.work import MIB, BoxKind, Handover, Outcome, Step, Work

ITEMS = 200
_PROGRAM = """
from fedwright_crds.box import Box

def main(argv):
    Box.here().handover("h").joinpath("f").write_bytes(bytes(int(argv[0])))
"""


class _Artifacts:
    """These works have neither inputs nor outputs."""

    def read(self, digest: Digest) -> bytes:
        raise KeyError(digest)

    def write(self, data: bytes) -> Digest:
        return digest_of(data)


def _work(kind: BoxKind, size: int = 256) -> Work:
    step = Step(name="s", box=kind, program=("nothing_much", str(size)), writes=("h",))
    return Work(
        kind="measure",
        steps=(step,),
        handovers=(Handover(name="h", max_bytes=64 * MIB),),
        images={kind: digest_of(b"")},
    )


def measure(items: int = ITEMS) -> list[Row]:
    """Every item is one step in the bench's box, torch imported, which hands on 256 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        Path(folder, "nothing_much.py").write_text(_PROGRAM)
        code = dict.fromkeys(BoxKind, (Path(folder),))
        with LocalBoxes(_Artifacts(), scratch=Path(folder), extra_code=code) as boxes:
            rows = [row for kind in BoxKind for row in _start(boxes, kind)]
            times = sorted(_timed(boxes, _work(BoxKind.BENCH)) for _ in range(items))
            large = [_timed(boxes, _work(BoxKind.BENCH, 32 * MIB)) for _ in range(5)]
    return [
        *rows,
        Row(
            "box: overhead of a step, median",
            statistics.median(times) * 1000,
            "ms",
            f"of {items}, warm, one after another",
        ),
        Row("box: overhead of a step, 95th percentile", times[int(len(times) * 0.95)] * 1000, "ms"),
        Row("box: a step that hands on 32 MiB", statistics.median(large) * 1000, "ms"),
    ]


def _start(boxes: LocalBoxes, kind: BoxKind) -> list[Row]:
    before = set(tree(os.getpid()))
    seconds = _timed(boxes, _work(kind))
    new = set(tree(os.getpid())) - before
    waiting = sum(tree_bytes(process, ("Pss:",)) for process in new if _is_top(process, new))
    return [
        Row(f"box: start of {kind.value}", seconds, "s", "first step included"),
        Row(f"box: memory of a waiting {kind.value}", waiting / MIB, "MiB", "proportional set size"),
    ]


def _is_top(process: int, among: set[int]) -> bool:
    """Whether none of the others is its ancestor, whose tree would count it again."""
    return not any(process in set(tree(other)) - {other} for other in among)


def _timed(boxes: LocalBoxes, work: Work) -> float:
    started = time.perf_counter()
    result = boxes.run(work, threading.Event())
    if result.outcome != Outcome.SUCCEEDED:
        raise RuntimeError(f"{work.steps[0].box}: {result.message}")
    return time.perf_counter() - started


def main() -> None:
    for row in measure():
        print(row)


if __name__ == "__main__":
    main()
