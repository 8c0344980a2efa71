"""How much memory the containers of a work may use, and how large their folders in memory may grow.

Folders in memory count as the pod's. A handover stays until the pod ends, so every later step has to leave room for it;
what lies in `/box` goes with its step. All sizes are worst cases by what the work declares.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from fedwright_boxes.limits import SCRATCH_BYTES
from fedwright_boxes.stream import MAX_FILES
from fedwright_crds.work import MIB, BoxKind, Step, Work

PAGE_BYTES = 4096
"""A file in memory takes whole pages."""
CHUNK_BYTES = MIB
"""The most that one ConfigMap holds."""
_FILES_MIB = MAX_FILES * PAGE_BYTES // MIB
_IMPORTS_MIB = {BoxKind.BENCH: 512, BoxKind.JUDGE: 512, BoxKind.MIND: 384, BoxKind.PLATFORM: 640}
"""What the warm process of a box holds before it forks the first cell."""
_LAUNCHER_MIB = 96
_DELIVER_MIB = 192
_MEMBER_SHARE = 8
_LEAST_MEMBER_MIB = 64
_MEMBER_SCRATCH_MIB = 8
_COPIES = 3
"""What is handed to a cell, or by it, lies in the launcher, on its way, and in a folder."""


@dataclass(frozen=True)
class Sizes:
    """Of one step's container, in MiB."""

    memory: int
    """Its limit."""
    box: int
    """Of `/box`."""
    out: int
    """Of `/fedwright/out`, 0 where the step has no outputs."""


@dataclass(frozen=True)
class WorkSizes:
    """Of one pod, in MiB."""

    steps: tuple[Sizes, ...]
    handovers: Mapping[str, int]
    deliver: int
    """Memory limit of the last container."""


def sizes_of(work: Work, chunks: Mapping[str, int]) -> WorkSizes:
    """`chunks`: in how many ConfigMaps each input lies, by name."""
    handovers = {one.name: _mib(one.max_bytes) + _FILES_MIB for one in work.handovers}
    largest = {one.name: one.max_bytes for one in work.outputs}
    steps, kept = [], 0
    for step in work.steps:
        handed_in = sum(chunks[name] * CHUNK_BYTES // MIB for name in step.inputs) * (1 + step.fleet)
        handed_in += sum(handovers[name] for name in step.reads)
        out = sum(_mib(largest[name]) for name in step.outputs)
        handed_on = out + sum(handovers[name] for name in step.writes)
        scratch = SCRATCH_BYTES // MIB + step.fleet * _MEMBER_SCRATCH_MIB
        own = _IMPORTS_MIB[step.box] + _LAUNCHER_MIB + cells_mib(step) + _COPIES * (handed_in + handed_on)
        steps.append(Sizes(memory=own + kept, box=handed_in + handed_on + scratch, out=out))
        kept += handed_on
    return WorkSizes(tuple(steps), handovers, _DELIVER_MIB + kept)


def cells_mib(step: Step) -> int:
    """Of all cells of a step together. The members of a fleet share one container: the server has the whole of
    `memory_mib`, a client an eighth, since clients are forks of one process, hold one shard, and most of them wait. One that needs
    more takes it from the others; the launcher still holds each to the whole.
    """
    return step.memory_mib + step.fleet * max(_LEAST_MEMBER_MIB, step.memory_mib // _MEMBER_SHARE)


def _mib(size: int) -> int:
    return ceil(size / MIB)
