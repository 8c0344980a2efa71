"""Whose fault it is that a step ended: ours is tried again, its own never."""

import pytest

from fedwright_crds.work import AWAY, BoxKind, Outcome, Reason, Step, Verdict

OURS = {
    BoxKind.MIND: {Reason.PLATFORM, Reason.NO_SANDBOX},
    BoxKind.BENCH: {Reason.PLATFORM, Reason.NO_SANDBOX},
    BoxKind.JUDGE: {Reason.PLATFORM, Reason.NO_SANDBOX, Reason.DEADLINE_EXCEEDED, Reason.OUT_OF_MEMORY},
    BoxKind.PLATFORM: set(Reason) - {Reason.COMPLETED, Reason.DEADLINE_EXCEEDED},
}


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("box", BoxKind)
def test_of_a_step_that_ended(box: BoxKind, reason: Reason) -> None:
    outcome = Step(name="one", box=box, program=("a.program",)).outcome(Verdict(step="one", reason=reason))
    if reason is Reason.COMPLETED:
        assert outcome is Outcome.SUCCEEDED
    else:
        assert outcome is (Outcome.PLATFORM_ERROR if reason in OURS[box] else Outcome.FAILED)


@pytest.mark.parametrize("box", BoxKind)
def test_an_exit_code_counts_of_minds_alone(box: BoxKind) -> None:
    """That its gateway is away is the platform's; generated code may exit with what it likes."""
    step = Step(name="one", box=box, program=("a.program",))
    for code, reason in ((AWAY, Reason.CRASHED), (AWAY, Reason.DEADLINE_EXCEEDED), (3, Reason.CRASHED)):
        away = step.outcome(Verdict(step="one", reason=reason, exit_code=code))
        plain = step.outcome(Verdict(step="one", reason=reason))
        assert (away is not plain) == (box is BoxKind.MIND and (code, reason) == (AWAY, Reason.CRASHED))
