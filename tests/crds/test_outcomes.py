"""Whose fault it is that a step ended: ours is tried again, its own never."""

import pytest

from fedwright_crds.work import BoxKind, Outcome, Reason, Step

OURS = {
    BoxKind.MIND: {Reason.PLATFORM, Reason.NO_SANDBOX},
    BoxKind.BENCH: {Reason.PLATFORM, Reason.NO_SANDBOX},
    BoxKind.JUDGE: {Reason.PLATFORM, Reason.NO_SANDBOX, Reason.DEADLINE_EXCEEDED, Reason.OUT_OF_MEMORY},
    BoxKind.PLATFORM: set(Reason) - {Reason.COMPLETED, Reason.DEADLINE_EXCEEDED},
}


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("box", BoxKind)
def test_of_a_step_that_ended(box: BoxKind, reason: Reason) -> None:
    outcome = Step(name="one", box=box, program=("a.program",)).outcome(reason)
    if reason is Reason.COMPLETED:
        assert outcome is Outcome.SUCCEEDED
    else:
        assert outcome is (Outcome.PLATFORM_ERROR if reason in OURS[box] else Outcome.FAILED)
