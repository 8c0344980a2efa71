"""A keeper in a process of its own, so that it can be killed: runs a work that would outlive it in its own boxes."""

import sys
import threading
from pathlib import Path

from fedwright_boxes import LocalBoxes
from fedwright_crds.base import digest_of
from fedwright_crds.work import BoxKind, Step, Work


class NoArtifacts:
    def read(self, digest):
        raise KeyError(digest)

    def write(self, data):
        return digest_of(data)


def main():
    fleet = int(sys.argv[2])
    steps = (Step(name="s", box=BoxKind.BENCH, program=("attacks", "outlive"), fleet=0, wall_seconds=60.0),)
    if fleet:
        steps = (Step(name="s", box=BoxKind.BENCH, program=("members", "flood"), fleet=fleet, wall_seconds=60.0),)
    work = Work(kind="test", steps=steps, images={BoxKind.BENCH: digest_of(b"")})
    code = {BoxKind.BENCH: (Path(__file__).parent,)}
    with LocalBoxes(NoArtifacts(), scratch=Path(sys.argv[1]), extra_code=code) as boxes:
        boxes.run(work, threading.Event())


if __name__ == "__main__":
    main()
