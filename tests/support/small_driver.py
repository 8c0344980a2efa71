"""A process that drives a home with small plans: `small_driver.py HOME SECONDS_A_WORK`. Killed by tests, so it is a file of its own."""

import signal
import sys
from pathlib import Path

from small_plans import IMAGES, PLANNERS, SmallBoxes

from fedwright_crds.request import FLStrategyRequest
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.home import Home
from fedwright_operator.local.loop import Loop
from fedwright_operator.local.releases import Releases


def main(folder: str, seconds: str) -> int:
    home = Home(Path(folder))
    with home.driven():
        loop = Loop(
            home,
            PLANNERS,
            SmallBoxes(Artifacts(home.artifacts), float(seconds)).run,
            IMAGES,
            Releases(home),
        )
        signal.signal(signal.SIGTERM, lambda *_: loop.stop())
        ended = loop.run(lambda: all(one.status.phase.terminal for one in loop.store.list(FLStrategyRequest)))
        loop.close()
    return 0 if ended else 130


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
