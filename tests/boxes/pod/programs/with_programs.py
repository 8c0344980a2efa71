"""The launcher of an image that holds the programs of these tests too, on a kernel whose Landlock is no newer than told."""

import sys
from dataclasses import replace
from pathlib import Path

from fedwright_boxes import profiles, syscalls
from fedwright_boxes.pod import launch

HERE = Path(__file__).parent
CODE = (HERE, HERE.parents[1] / "programs")


def main(abi, *arguments):
    kernels = syscalls.landlock_abi
    syscalls.landlock_abi = lambda: min(int(abi), kernels())
    for kind, profile in profiles.PROFILES.items():
        profiles.PROFILES[kind] = replace(profile, code=CODE, imports=("numpy",), programs=())  # torch takes seconds
    return launch.main(arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
