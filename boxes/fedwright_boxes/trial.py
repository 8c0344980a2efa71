"""Whether this machine can lock generated code in: found out by doing it, with a program that does nothing."""

import platform
from dataclasses import replace
from functools import cache
from pathlib import Path

from fedwright_boxes import bubblewrap
from fedwright_boxes.keeper import Zygote, ZygoteError
from fedwright_boxes.limits import Limits
from fedwright_boxes.parcel import Program
from fedwright_boxes.profiles import PROFILES
from fedwright_boxes.stream import Allowed
from fedwright_boxes.watch import Cell, Order, supervise
from fedwright_crds.work import MIB, BoxKind, Reason

_START_SECONDS = 60.0
_LIMITS = Limits(wall_seconds=30.0, memory_bytes=256 * MIB, folder_bytes=MIB, processes=16)
_NOTHING = Allowed({}, {})


def main(_: list[str]) -> int:
    """What the trial runs behind the walls."""
    return 0


@cache
def working_program() -> tuple[Path | None, str]:
    """A bubblewrap that works here; else None and the reason in words, with the mend."""
    if platform.machine() != "x86_64":
        return None, f"the sandbox's filter of system calls is written for x86_64, this is {platform.machine()}"
    reasons = []
    for program in bubblewrap.installed_programs():
        reason = refusal(program)
        if reason is None:
            return program, ""
        reasons.append(f"{program}: {reason}")
    missing = "bubblewrap is not installed: install the system's, or `pip install fedwright[sandbox]`"
    return None, "; ".join(reasons) or missing


@cache
def refusal(program: Path) -> str | None:
    """None if a program ran in a box made by this bubblewrap; else what stood in the way."""
    profile = replace(PROFILES[BoxKind.BENCH], imports=(), programs=(), distributions=("pydantic",))
    zygote = Zygote(profile, program)
    try:
        if not zygote.wait_started(_START_SECONDS):
            return f"it did not start in {_START_SECONDS:.0f} seconds"
        order = Order(Program(__name__, (), _NOTHING), {}, _LIMITS, _NOTHING.most_bytes)
        with Cell(zygote, order) as cell:
            supervise([cell], lambda: False)
            return None if cell.reason == Reason.COMPLETED else _why(cell)
    except ZygoteError as error:
        return f"{error} (allow user namespaces here; in a container run by root, CAP_SYS_ADMIN)"
    finally:
        zygote.close()


def _why(cell: Cell) -> str:
    if cell.reason == Reason.PLATFORM:
        return f"a cell could not lock itself in: {cell.platform_error}"
    return f"a program that does nothing ended as {cell.reason}: {cell.printed}"
